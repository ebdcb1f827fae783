"""What others have put on Baton's tables or done to them, as far as it can break Baton. Reads only.

Triggers, policies and restores are the application's, and run or show inside Baton's statements.
"""

from __future__ import annotations

from baton.migrating.declared import table_names
from baton.migrating.schema_facts import SchemaFacts
from baton.store.diagnosis import ASK_TIMEOUT, Connection, hidden_rows
from baton.store.sql import Sql, quote_literal
from baton.store.translating import SEQUENCES

# The second stores bytes as they come.
_WHOLE_ENCODINGS = frozenset({"UTF8", "SQL_ASCII"})


def surroundings_warnings(facts: SchemaFacts, sql: Sql) -> list[str]:
    """Triggers of the application that may not find their tables, and row-level security."""
    tables = table_names()
    return [
        *(
            f"trigger {name!r} on {table} runs in Baton's sessions, whose search_path is "
            f"pg_catalog: let {function} qualify its names, or "
            f"ALTER FUNCTION {function} SET search_path = …"
            for name, table, function in sorted(facts.triggers)
            if table in tables
        ),
        *(hidden_rows(sql, table) for table in sorted(tables) if facts.tables.get(table)),
    ]


def encoding_warnings(connection: Connection) -> list[str]:
    """A database that cannot hold every text, as far as Baton's are concerned."""
    encoding = connection.get_settings().server_encoding
    if encoding in _WHOLE_ENCODINGS:
        return []
    told = (
        f"the database's encoding is {encoding}, not UTF8: results, arguments and events with "
        "other characters are refused, and error texts are stored with escapes"
    )
    return [told]


async def find_sequence_problems(connection: Connection, sql: Sql) -> list[str]:
    """Sequences behind the ids in use, as a restore or a copy of the rows leaves them: the next
    insertion would fail. None is found where the role may not look.
    """
    rows = await connection.fetch(sql("read_sequences"), timeout=ASK_TIMEOUT)
    if not rows or not all(row["may_look"] for row in rows):
        return []
    last = {row["name"]: row["last"] for row in rows}
    highest = {
        row["name"]: row["highest"]
        for row in await connection.fetch(sql("read_highest_ids"), timeout=ASK_TIMEOUT)
    }
    return [
        f"the sequence of {table}.id is at {last[table] or 'its start'} and ids up to "
        f"{highest[table]} are in use; run: {_catch_up(sql, table, columns)}"
        for table, columns in SEQUENCES.items()
        if table in last and (highest[table] or 0) > (last[table] or 0)
    ]


def _catch_up(sql: Sql, table: str, columns: tuple[str, ...]) -> str:
    """The SQL that sets the sequence of `table`.id past what stands in the columns
    (`table.column`).
    """
    highest = [
        f"(SELECT max({column}) FROM {sql.qualified(name)})"  # noqa: S608
        for name, _, column in (item.partition(".") for item in columns)
    ]
    sequence = f"pg_get_serial_sequence({quote_literal(sql.qualified(table))}, 'id')"
    return f"SELECT setval({sequence}, greatest({', '.join(highest)}));"
