"""What is behind an error of the server: asked of the database, never guessed from the SQLSTATE."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

from baton.store.faults import sqlstate
from baton.store.packaged import latest_version
from baton.store.sql import Sql
from baton.words.database_errors import MissingRightError
from baton.words.schema_errors import SchemaMissingError

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

ASK_TIMEOUT = 10.0

# Undefined table, schema, type, function and column.
_UNDEFINED = frozenset({"42P01", "3F000", "42704", "42883", "42703"})


def may_lack_schema(error: BaseException) -> bool:
    """Something does not exist. It need not be ours: triggers of the application run in our
    statements.
    """
    return sqlstate(error) in _UNDEFINED


async def missing_schema(connection: Connection, sql: Sql) -> SchemaMissingError | None:
    """What to raise when Baton's tables are not there, or those of an older version are. None when
    they are, and when nobody can tell.
    """
    latest = latest_version()
    try:
        rows = await connection.fetch(sql("find_tables"), timeout=ASK_TIMEOUT)
        found = {row["name"] for row in rows}
        version = None
        if "baton_migrations" in found:
            version = len(await connection.fetch(sql("read_migrations"), timeout=ASK_TIMEOUT))
    except Exception:
        # The failure under way tells more.
        return None
    if version and version < latest:
        return SchemaMissingError(sql.schema, version, latest, sql.oban_schema)
    if not {"baton_migrations", "oban_jobs", "workflows"} <= found:
        elsewhere = await find_installations(connection, sql)
        return SchemaMissingError(sql.schema, None, latest, sql.oban_schema, elsewhere)
    return None


async def find_installations(connection: Connection, sql: Sql) -> list[str]:
    """The other schemas of this database that have Baton's tables, a few of them."""
    rows = await connection.fetch(sql("find_installations"), timeout=ASK_TIMEOUT)
    return [row["name"] for row in rows if row["name"] != sql.schema]


async def refuse_hidden_rows(connection: Connection, sql: Sql, table: str) -> None:
    """Raise MissingRightError when row-level security keeps rows of the table from this role. To be
    asked where rows are expected and none is found.
    """
    rows = await connection.fetch(sql("find_row_security"), timeout=ASK_TIMEOUT)
    if any(row["name"] == table for row in rows):
        raise MissingRightError(hidden_rows(sql, table))


def hidden_rows(sql: Sql, table: str) -> str:
    """Says that row-level security is at work."""
    return (
        f"row-level security of {sql.schema_of(table)}.{table} applies to this role, which sees "
        "and writes only the rows that a policy grants; grant all rows with a policy (FOR ALL TO "
        "the role USING (true) WITH CHECK (true)), give the role BYPASSRLS, or disable row-level "
        "security"
    )
