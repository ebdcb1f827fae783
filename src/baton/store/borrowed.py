"""A caller's connection: found behind what it is wrapped in, and used without leaving a trace.

Nothing is assumed of it: neither codecs, search path nor isolation level, nor whether a transaction
is open.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from inspect import iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import anyio
import asyncpg

from baton.store.diagnosis import may_lack_schema, missing_schema
from baton.store.faults import sqlstate
from baton.store.sql import Sql
from baton.store.translating import said
from baton.words.database_errors import ConnectionTypeError, DatabaseError, MissingRightError

if TYPE_CHECKING:  # SQLAlchemy need not be installed
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
CallersConnection: TypeAlias = "Connection | AsyncSession | AsyncConnection"
"""What `conn=` takes."""

UNDO_TIMEOUT = 10.0

# A transaction may have been begun by hand, which the driver's own savepoints refuse: plain SQL
# works for all.
_SAVEPOINT = "SAVEPOINT baton_insert"
_RELEASE = "RELEASE SAVEPOINT baton_insert"
_ROLLBACK = f"ROLLBACK TO SAVEPOINT baton_insert; {_RELEASE}"

_IN_FAILED_TRANSACTION = "25P02"
_INSUFFICIENT_PRIVILEGE = "42501"
_FAILED = "the transaction of conn= has failed before; roll it back first"


class Fetches(Protocol):
    """Runs queries: a pool, or one connection."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...


@asynccontextmanager
async def borrowed(conn: object, sql: Sql) -> AsyncGenerator[Connection, Any]:
    """The driver's connection behind `conn`, inside a savepoint of the caller's open transaction
    or, when none is open, inside a transaction of our own.

    If the body raises or is cancelled, what it did is undone and the caller's transaction goes on.
    Raises ConnectionTypeError; DatabaseError for a connection that is closed or in a failed
    transaction; MissingRightError; SchemaMissingError when the tables of `sql` are not there. All
    else of the driver's stays as it is.
    """
    connection = await _usable(conn)
    begin, commit, undo = (
        (_SAVEPOINT, _RELEASE, _ROLLBACK)
        if connection.is_in_transaction()
        else ("BEGIN", "COMMIT", "ROLLBACK")
    )
    try:
        # Beginning, or not knowing whether it was committed, must not be cut short by a
        # cancellation.
        with anyio.CancelScope(shield=True):
            await connection.execute(begin)
        yield connection
        with anyio.CancelScope(shield=True):
            await connection.execute(commit)
    except BaseException as error:
        await _undo(connection, undo)
        if sqlstate(error) == _IN_FAILED_TRANSACTION:
            raise DatabaseError(_FAILED) from error
        if sqlstate(error) == _INSUFFICIENT_PRIVILEGE and not isinstance(error, DatabaseError):
            raise MissingRightError(said(error)) from error
        if may_lack_schema(error):
            missing = None
            with anyio.CancelScope(shield=True):
                missing = await missing_schema(connection, sql)
            if missing is not None:
                raise missing from error
        raise


async def _usable(conn: Any) -> Connection:
    try:
        connection = await _unwrapped(conn)
        if connection.is_closed():
            raise DatabaseError("the connection given as conn= is closed")
    except DatabaseError:
        raise
    except Exception as error:
        if sqlstate(getattr(error, "orig", error)) == _IN_FAILED_TRANSACTION:
            raise DatabaseError(_FAILED) from error
        raise DatabaseError(f"conn= cannot be used ({type(error).__name__}: {error})") from error
    return connection


async def _undo(connection: Connection, undo: str) -> None:
    with anyio.move_on_after(UNDO_TIMEOUT, shield=True):
        try:
            await connection.execute(undo)
        except Exception:
            # The failure under way tells more; a lost connection is rolled back by the server.
            return


async def _unwrapped(conn: Any) -> Connection:
    connection: Connection = conn
    if isinstance(conn, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        return connection
    if not any(kind.__module__.startswith("sqlalchemy.") for kind in type(conn).__mro__):
        raise ConnectionTypeError(conn, _advice(conn))
    outer = await conn.connection() if _has_method(conn, "connection") else conn
    if not _has_method(outer, "get_raw_connection"):
        raise ConnectionTypeError(
            conn,
            "give what `async with AsyncSession(engine) as session` or `engine.begin()` yields",
        )
    driver: Any = (await outer.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        raise ConnectionTypeError(
            conn, "its driver is another one; use create_async_engine('postgresql+asyncpg://…')"
        )
    # SQLAlchemy begins its transaction with its first statement; without one, ours would commit on
    # its own.
    await outer.exec_driver_sql("SELECT 1")
    return driver


def _has_method(given: object, name: str) -> bool:
    # Asked of the type: some of SQLAlchemy's attributes raise when they are read.
    return iscoroutinefunction(getattr(type(given), name, None))


def _advice(conn: object) -> str:
    if iscoroutine(conn):
        conn.close()
        return "an await is missing"
    if isinstance(conn, asyncpg.Pool | asyncpg.pool.PoolAcquireContext):
        return "take one of the pool's: async with pool.acquire() as conn: … insert(conn=conn)"
    if isinstance(conn, str):
        return "a DSN belongs to an engine: async with Engine(dsn): … insert()"
    return ""
