"""The database as users see it: what they hand over, open and close, and may write through."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import asyncpg

from baton.store.connecting import Password
from baton.store.session import LOCK_TIMEOUT
from baton.store.sql import DEFAULT_SCHEMA
from baton.store.store import HasStore, Store, store_of
from baton.words.argument_errors import InvalidArgumentError


class Database(HasStore):
    """A pool of connections to one database and one installation in it: Baton's tables in `schema`,
    the queue's in `oban_schema` (None: the same).

        async with Database("postgresql://…", pool_size=2) as database:
            page = await Insights(database).workflows()

    Open it before use, or use it as a context manager; opening twice is harmless. An engine has one
    of its own, `engine.database`, which it opens and closes itself.

    Timeouts are seconds. `command_timeout` bounds every statement, `acquire_timeout` every wait for
    a connection: nothing waits for the database without a bound. `idle_timeout` bounds how long a
    transaction of ours may stand between two statements: a process that was stopped inside one must
    not keep other engines from the workflows that it has locked. `lock_timeout` bounds the wait for
    a lock. `password` is a function, sync or async, that makes a password for each connection;
    it may be called in several event loops. `pooled` says that a pooler in transaction mode stands
    before the server; most are noticed without.

    What the driver and the server raise leaves every method as an error of Baton's, with the
    driver's as its cause. Raises InvalidOptionError for a DSN that cannot be read, and for a wrong
    application_name.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = DEFAULT_SCHEMA,
        oban_schema: str | None = None,
        application_name: str = "baton",
        pool_size: int = 10,
        command_timeout: float = 30.0,
        acquire_timeout: float = 10.0,
        idle_timeout: float = 10.0,
        lock_timeout: float = LOCK_TIMEOUT,
        password: Password | None = None,
        pooled: bool = False,
    ) -> None:
        self._store = Store(
            dsn,
            schema=schema,
            oban_schema=oban_schema,
            application_name=application_name,
            pool_size=pool_size,
            command_timeout=command_timeout,
            acquire_timeout=acquire_timeout,
            idle_timeout=idle_timeout,
            lock_timeout=lock_timeout,
            password=password,
            pooled=pooled,
        )

    def __repr__(self) -> str:
        return f"<Database schema={self.schema!r} {self.state}>"

    @property
    def dsn(self) -> str:
        return self._store.dsn

    @property
    def schema(self) -> str:
        return self._store.schema

    @property
    def oban_schema(self) -> str | None:
        return self._store.oban_schema

    @property
    def application_name(self) -> str:
        return self._store.application_name

    @property
    def state(self) -> str:
        """One of new, open, closed; forked in a process that was forked while it was open."""
        return self._store.state

    async def __aenter__(self) -> Self:
        """Open. Raises UnavailableError."""
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect. Raises UnavailableError."""
        await self._store.open()

    async def close(self, timeout: float = 5.0) -> None:
        """Close the pool; connections still busy after `timeout` seconds are terminated."""
        await self._store.close(timeout)

    def connection(self) -> AbstractAsyncContextManager[asyncpg.Connection[Any]]:
        """A pooled connection, outside a transaction.

        Raises UnavailableError, MissingRightError, SchemaMissingError, EventLoopError, and
        DatabaseError for all else that the database refuses.
        """
        return self._store.connection()

    def transaction(self) -> AbstractAsyncContextManager[asyncpg.Connection[Any]]:
        """A READ COMMITTED transaction, shielded from anyio's cancellation, each statement bounded.

        A task's own `cancel()` still reaches it: then it is whole or nothing, and which is unknown.
        Raises what `connection` raises.
        """
        return self._store.transaction()


def database_of(store: Store) -> Database:
    """The face of a store that is there already."""
    database = Database.__new__(Database)
    database._store = store
    return database


def given_store(database: object) -> Store:
    """The store behind what a user handed over as a Database. Raises InvalidArgumentError."""
    if not isinstance(database, Database):
        # Never the value: a connection string has a password.
        given = type(database)
        raise InvalidArgumentError("database", given, "a Database, such as engine.database")
    return store_of(database)
