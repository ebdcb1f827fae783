"""Brings the schema of one database to a version. Any number of migrators may run at once.

Upwards each version is a transaction of its own (a new enum value may not be used in the one that
added it); downwards everything is one, so that a refusal on the way changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias

import anyio
import asyncpg

from baton.migrating.functions import restoring
from baton.migrating.migration_scripts import (
    LOCK_TIMEOUT,
    STATEMENT_TIMEOUT,
    applying,
    checked_version,
    opening,
    reverting,
)
from baton.migrating.schema_facts import differing_functions, missing_tables, other_jobs, read_facts
from baton.migrating.surroundings import encoding_warnings
from baton.store.connecting import Connector, Password
from baton.store.diagnosis import refuse_hidden_rows
from baton.store.faults import is_connection_loss, is_database_fault, sqlstate
from baton.store.packaged import latest_version, load_migrations
from baton.store.sql import DEFAULT_SCHEMA, Sql
from baton.store.translating import not_connected, said, translated
from baton.words.base_error import BatonError
from baton.words.database_errors import ConnectionTypeError, MissingRightError, UnavailableError
from baton.words.schema_errors import MigrationError

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

_log = logging.getLogger("baton")

CONNECT_TIMEOUT = 10.0
_GRACE = 10.0
_CONNECTION_FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def migrate(
    dsn_or_connection: str | Connection,
    *,
    schema: str = DEFAULT_SCHEMA,
    oban_schema: str | None = None,
    to: int | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
    password: Password | None = None,
) -> list[int]:
    """Apply what is missing up to version `to` (None: the latest); returns the versions applied by
    this call, in order. A schema is created when it is missing. `oban_jobs` stands in `oban_schema`
    (None: in `schema`); where Oban has made it, it stays as it is. At the latest version, functions
    that are not this Baton's for this schema, as in a schema that was renamed or copied, are made
    anew.

    Safe to call from many processes at once, and again after a failure: a version is applied whole
    or not at all. `lock_timeout` bounds, in seconds, each wait for another migrator or transaction;
    `password` is a function, sync or async, that makes the password that the DSN leaves out.
    Raises InvalidNameError, InvalidOptionError, ConnectionTypeError, UnavailableError, and
    MigrationError: also when an applied migration differs from the packaged one, when the schema
    has other tables of the same names, when tables of an applied version are missing, and on a
    connection inside a transaction.
    """
    sql = Sql(schema, oban_schema)
    target = checked_version("to", to)
    applied: list[int] = []
    async with connected(dsn_or_connection, alone=True, password=password) as connection:
        while await applied_version(connection, sql) < target:
            version = await _apply_next(connection, sql, target, lock_timeout)
            if version is not None:
                applied.append(version)
        for warning in encoding_warnings(connection) if applied else ():
            _log.warning("the schema %r: %s", schema, warning)
        if target == latest_version():
            await _restore_functions(connection, sql, lock_timeout)
    return applied


async def rollback(
    dsn_or_connection: str | Connection,
    *,
    to: int,
    schema: str = DEFAULT_SCHEMA,
    oban_schema: str | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
    password: Password | None = None,
) -> list[int]:
    """Revert the versions above `to`, newest first, all or none; returns them. Baton's data goes
    with them.

    A table that Oban made stays, and so does the schema itself. Raises MigrationError when
    unfinished jobs would be lost, and as `migrate` does.
    """
    sql = Sql(schema, oban_schema)
    target = checked_version("to", to)
    reverted: list[int] = []
    async with connected(dsn_or_connection, alone=True, password=password) as connection:
        with database_failures(None, lock_timeout):
            async with _transaction(connection, sql, lock_timeout):
                current = await applied_version(connection, sql)
                _refuse_newer(current)
                for migration in reversed(load_migrations()[target:current]):
                    with database_failures(migration.version, lock_timeout):
                        await _run(connection, reverting(sql, migration))
                    reverted.append(migration.version)
    return reverted


async def current_version(
    dsn_or_connection: str | Connection,
    *,
    schema: str = DEFAULT_SCHEMA,
    oban_schema: str | None = None,
    password: Password | None = None,
) -> int:
    """The version of the schema; 0 when Baton is not installed there.

    Raises MigrationError when its history is not one of this Baton's.
    """
    sql = Sql(schema, oban_schema)
    async with connected(dsn_or_connection, password=password) as connection:
        return await applied_version(connection, sql)


@asynccontextmanager
async def connected(
    dsn_or_connection: str | Connection,
    *,
    alone: bool = False,
    password: Password | None = None,
) -> AsyncGenerator[Connection, None]:
    """The caller's connection, or one of our own to the DSN for as long as the context lasts.

    `alone` refuses a connection that is inside a transaction.
    """
    if isinstance(dsn_or_connection, str):
        connection = await _connect(Connector(dsn_or_connection, password=password))
        try:
            yield connection
        finally:
            # A failed close has cut the connection, which is what is wanted.
            with anyio.move_on_after(_GRACE, shield=True), suppress(*_CONNECTION_FAILURES):
                await connection.close(timeout=_GRACE / 2)
        return
    if not isinstance(  # pyright: ignore[reportUnnecessaryIsInstance]
        dsn_or_connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    ):
        raise ConnectionTypeError(dsn_or_connection, "migrations take a DSN or asyncpg's own")
    if alone and dsn_or_connection.is_in_transaction():
        raise MigrationError(
            None,
            "the connection is inside a transaction; finish it first, or execute the statement "
            "migration_sql(transactions=False) in it",
        )
    yield dsn_or_connection


async def applied_version(connection: Connection, sql: Sql) -> int:
    """The version of the schema, after a check that its history is the packaged one."""
    with database_failures(None):
        history = await read_history(connection, sql)
    if problems := history_problems(history):
        raise MigrationError(None, "; ".join(problems))
    return len(history)


async def read_history(connection: Connection, sql: Sql) -> list[tuple[int, str, str]]:
    """(version, name, checksum) of every applied migration, oldest first."""
    if not await connection.fetch(sql("find_migrations_table"), timeout=STATEMENT_TIMEOUT):
        return []
    return await read_applied(connection, sql)


async def read_applied(connection: Connection, sql: Sql) -> list[tuple[int, str, str]]:
    """What `read_history` returns, where the table of applied migrations has been seen."""
    try:
        rows = await connection.fetch(sql("read_migrations"), timeout=STATEMENT_TIMEOUT)
    except asyncpg.UndefinedTableError:
        # A rollback dropped the table since it was found.
        return []
    if not rows:
        await refuse_hidden_rows(connection, sql, "baton_migrations")
    return [(int(row["version"]), row["name"], row["checksum"]) for row in rows]


def history_problems(history: list[tuple[int, str, str]]) -> list[str]:
    """How the applied migrations differ from the packaged ones; newer ones are fine."""
    problems: list[str] = []
    packaged = {migration.version: migration for migration in load_migrations()}
    for position, (version, name, checksum) in enumerate(history, 1):
        known = packaged.get(version)
        if version != position:
            return [*problems, f"version {position} is missing before version {version}"]
        if known is not None and (name, checksum) != (known.name, known.checksum):
            problems.append(
                f"version {version} ({name}) was applied from another text than this Baton's"
            )
    return problems


async def _apply_next(
    connection: Connection, sql: Sql, target: int, lock_timeout: float
) -> int | None:
    with database_failures(None, lock_timeout):
        async with _transaction(connection, sql, lock_timeout):
            # Another migrator may have been faster: only the version under the lock counts.
            current = await applied_version(connection, sql)
            if current >= target:
                return None
            migration = load_migrations()[current]
            ahead = load_migrations()[current + 1 : target]
            with database_failures(migration.version, lock_timeout):
                await _run(connection, applying(sql, migration, ahead))
            return migration.version


async def _restore_functions(connection: Connection, sql: Sql, lock_timeout: float) -> None:
    if not await _functions_to_restore(connection, sql):
        return
    with database_failures(None, lock_timeout):
        async with _transaction(connection, sql, lock_timeout):
            # Under the lock: another migrator may have been faster.
            differing = await _functions_to_restore(connection, sql)
            if differing:
                await _run(connection, restoring(sql, differing))
    if differing:
        names = ", ".join(differing)
        _log.warning("functions of the schema %r were made anew: %s", sql.schema, names)


async def _functions_to_restore(connection: Connection, sql: Sql) -> list[str]:
    if await applied_version(connection, sql) != latest_version():
        # A newer Baton's, or reverted meanwhile.
        return []
    with database_failures(None):
        facts = await read_facts(connection, sql)
    if strayed := other_jobs(facts, sql):
        raise MigrationError(None, strayed)
    if missing := missing_tables(facts):
        raise MigrationError(
            None,
            f"tables of the applied version are missing: {', '.join(missing)}; bring them back, or "
            f"begin anew: baton migrate {sql.arguments} --down 0",
        )
    return differing_functions(facts, sql)


@asynccontextmanager
async def _transaction(
    connection: Connection, sql: Sql, lock_timeout: float
) -> AsyncGenerator[None, None]:
    try:
        await connection.execute(opening(sql, lock_timeout), timeout=lock_timeout + _GRACE)
        yield
        await connection.execute("COMMIT", timeout=STATEMENT_TIMEOUT)
    except BaseException:
        await _abandon(connection)
        raise


async def _abandon(connection: Connection) -> None:
    with anyio.move_on_after(_GRACE, shield=True):
        try:
            await connection.execute("ROLLBACK")
        except Exception:
            # The failure under way tells more than this one; the server rolls back what it lost.
            connection.terminate()
        return
    connection.terminate()


async def _run(connection: Connection, script: str) -> None:
    await connection.execute(script, timeout=STATEMENT_TIMEOUT + _GRACE)


async def _connect(connector: Connector) -> asyncpg.Connection[Any]:
    try:
        connection: asyncpg.Connection[Any] = await connector.connect(
            timeout=CONNECT_TIMEOUT,
            statement_cache_size=0,
            server_settings={"application_name": "baton-migrate"},
        )
        return connection
    except Exception as error:
        if not is_database_fault(error):
            raise
        raise not_connected(error) from error


def _refuse_newer(current: int) -> None:
    if current > len(load_migrations()):
        raise MigrationError(current, "it was applied by a newer Baton, which alone can revert it")


@contextmanager
def database_failures(
    version: int | None, timeout: float = STATEMENT_TIMEOUT
) -> Generator[None, None, None]:
    """Driver and server failures as Baton's errors."""
    try:
        yield
    except BatonError:
        raise
    except Exception as error:
        if sqlstate(error) == "55P03":
            what = "another migration or transaction holds a lock that the migration needs"
            raise UnavailableError(what, timeout) from error
        ours = translated(error)
        if ours is None:
            raise
        if is_connection_loss(error) or (version is None and isinstance(ours, MissingRightError)):
            raise ours from error
        problem = str(ours) if isinstance(ours, MissingRightError) else said(error)
        raise MigrationError(version, problem) from error
