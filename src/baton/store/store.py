"""The database as the rest of Baton sees it: a pool, bounded transactions, queries by name. Users
see `Database`, in front of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import asyncpg

from baton.store.connecting import Connector, Password
from baton.store.dedicated import Dedicated
from baton.store.diagnosis import may_lack_schema, missing_schema
from baton.store.faults import (
    is_connection_loss,
    is_database_fault,
    is_lock_timeout,
    is_retryable,
    poisons_pool,
)
from baton.store.notifications import Notifications
from baton.store.session import (
    END_TIMEOUT,
    LOCK_TIMEOUT,
    PlainConnection,
    keeping_cancellation,
    server_settings,
    transaction,
)
from baton.store.sql import DEFAULT_SCHEMA, Sql
from baton.store.translating import not_connected, translated
from baton.words.argument_errors import InvalidOptionError
from baton.words.config import NAME_EXPECTED, is_name
from baton.words.database_errors import DatabaseError, UnavailableError
from baton.words.engine_errors import EventLoopError
from baton.words.schema_errors import SchemaMissingError

_log = logging.getLogger("baton")

T = TypeVar("T")

ATTEMPTS = 5

LOOK_UP_TIMEOUT = 10.0
"""Seconds for which it is asked whether a commit without a reply took place."""
LOOK_UP_DELAY = 0.05


class Store:
    """What a `Database` or an engine has below: the pool, and the queries of one installation. The
    options are those of `Database`. `engine` is the name of the engine that these connections
    belong to, for the events of what is done through them; None outside an engine.

    What the driver and the server raise leaves every method as an error of Baton's, with the
    driver's as its cause. Raises InvalidOptionError.
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
        engine: str | None = None,
    ) -> None:
        self.connector = Connector(dsn, password=password, pooled=pooled)
        self.dsn = dsn
        self.schema = schema
        self.oban_schema = oban_schema
        self.sql = Sql(schema, oban_schema)
        if not is_name(application_name):
            raise InvalidOptionError("application_name", application_name, NAME_EXPECTED)
        self.application_name = application_name
        self.engine = engine
        self._pool_size = pool_size
        self._command_timeout = command_timeout
        self._acquire_timeout = acquire_timeout
        self._idle_timeout = idle_timeout
        self._lock_timeout = lock_timeout
        self._pool: asyncpg.Pool[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state = "new"
        self._process = 0
        self.notifications = Notifications(self._notification_usage)

    def __repr__(self) -> str:
        return f"<Store schema={self.schema!r} {self._state}>"

    @property
    def state(self) -> str:
        """One of new, open, closed; forked in a process that was forked while it was open."""
        return "forked" if self._forked else self._state

    @property
    def _forked(self) -> bool:
        # Two processes that speak on one connection read each other's answers.
        return self._pool is not None and self._process != os.getpid()

    async def open(self) -> None:
        """Connect. Raises UnavailableError."""
        if self._pool is not None and not self._forked:
            self.expect_own_loop()
            return
        try:
            pool = await asyncpg.create_pool(
                connect=cast(Any, self._connect),
                # A floor would be restored by the driver, with a traceback for every failure.
                min_size=0,
                max_size=self._pool_size,
                connection_class=PlainConnection,
                command_timeout=self._command_timeout,
                timeout=self._acquire_timeout,
                server_settings={
                    **server_settings(self.application_name, lock_timeout=self._lock_timeout),
                    "idle_in_transaction_session_timeout": f"{self._idle_timeout * 1000:.0f}",
                },
            )
            try:
                await pool.release(await pool.acquire(timeout=self._acquire_timeout))
            except BaseException:
                pool.terminate()
                raise
        except Exception as error:
            if not is_database_fault(error):
                raise
            raise not_connected(error) from error
        self._pool, self._state, self._process = pool, "open", os.getpid()
        self._loop = asyncio.get_running_loop()

    async def _connect(self, _: str, **options: Any) -> PlainConnection:
        return await self.connector.session(**options)

    def expect_own_loop(self, what: str | None = None) -> None:
        """Raise EventLoopError when the running loop is not the one that `open` ran in."""
        if self._loop is None or self._forked:
            return
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if not here:
            raise EventLoopError(what or f"the Database of {self.application_name!r}")

    def dedicated(self, application_name: str) -> Dedicated:
        """A connection outside the pool, not yet connected; its statements are bounded alike."""
        self.expect_own_loop()
        return Dedicated(
            self.connector,
            self.sql,
            application_name=application_name,
            timeout=self._command_timeout,
        )

    async def close(self, timeout: float = 5.0) -> None:
        """Close the pool; connections still busy after `timeout` seconds are terminated."""
        self.expect_own_loop()
        # The connections of another process are not ours to close.
        pool = None if self._forked else self._pool
        self._pool = self._loop = None
        self._state = "closed"
        if pool is None:
            return
        try:
            with anyio.fail_after(timeout, shield=True):
                await pool.close()
        except Exception as error:
            _log.debug("the pool was terminated: %r", error)
        finally:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[asyncpg.Connection[Any], None]:
        """A pooled connection, outside a transaction.

        Raises UnavailableError, MissingRightError, SchemaMissingError, EventLoopError, and
        DatabaseError for all else that the database refuses.
        """
        with keeping_cancellation():
            pool, connection = await self._acquire()
            try:
                yield connection
            except BaseException as error:
                if poisons_pool(error):
                    await pool.expire_connections()
                try:
                    missing = await self._missing_schema(connection, error)
                finally:
                    await take_back(pool, connection)
                ours = missing or translated(error)
                if ours is None:
                    raise
                raise ours from error
            with anyio.CancelScope(shield=True), suppress(Exception):
                # What was done with it stays done, whatever comes of the connection.
                await pool.release(connection, timeout=END_TIMEOUT)

    async def _acquire(self) -> tuple[asyncpg.Pool[Any], Any]:
        pool = self._pool
        if pool is None:
            raise UnavailableError("the pool is closed")
        if self._forked:
            raise UnavailableError(
                f"the connections of this Database belong to process {self._process}, of which this"
                " one is a fork: open a Database, or start an Engine, in this process",
                refused=True,
            )
        self.expect_own_loop()
        try:
            return pool, await pool.acquire(timeout=self._acquire_timeout)
        except TimeoutError as error:
            raise UnavailableError("no connection was free", self._acquire_timeout) from error
        except Exception as error:
            if not is_database_fault(error):
                raise
            raise not_connected(error) from error

    async def _missing_schema(
        self, connection: asyncpg.Connection[Any], error: BaseException
    ) -> SchemaMissingError | None:
        if not may_lack_schema(error):
            return None
        with anyio.CancelScope(shield=True):
            missing = await missing_schema(connection, self.sql)
        return missing

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[asyncpg.Connection[Any], None]:
        """A READ COMMITTED transaction, shielded from anyio's cancellation, each statement bounded.

        A task's own `cancel()` still reaches it: then it is whole or nothing, and which is unknown.
        """
        async with self.connection() as connection:
            with anyio.CancelScope(shield=True):
                async with transaction(connection):
                    yield connection

    @asynccontextmanager
    async def committing(self) -> AsyncGenerator[asyncpg.Connection[Any], None]:
        """A `transaction` whose commit is looked up when only its reply was lost: then this ends as
        if the reply had come, and what the body found out is told. Raises UnavailableError with
        `in_doubt`, which `retrying` does not repeat, where it cannot be looked up: a body that is
        repeated could take its own success for that of somebody else.
        """
        wrote: str | None = None
        try:
            async with self.transaction() as connection:
                yield connection
                wrote = await connection.fetchval(self.sql("read_transaction_id"))
        except Exception as error:
            if wrote is None or not is_connection_loss(error):
                raise
            committed = await self._has_committed(wrote)
            if committed is None:
                what = (
                    "it is unknown whether a transaction was committed, and could not be looked up"
                )
                raise UnavailableError(what, LOOK_UP_TIMEOUT, in_doubt=True) from error
            if not committed:
                raise

    async def _has_committed(self, transaction_id: str) -> bool | None:
        """Whether a transaction of ours is committed; None when that cannot be found out."""
        with anyio.move_on_after(LOOK_UP_TIMEOUT, shield=True):
            while True:
                with suppress(DatabaseError):
                    (row,) = await self.fetch("read_transaction_status", transaction_id)
                    if row["status"] != "in progress":
                        return bool(row["status"] == "committed")
                await anyio.sleep(LOOK_UP_DELAY)
        return None

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Run one named query on its own, shielded: what it wrote is known when this returns."""
        async with self.connection() as connection:
            with anyio.CancelScope(shield=True):
                if not connection.lent:  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
                    rows = await connection.fetch(self.sql(query), *args)
                else:
                    async with transaction(connection):
                        rows = await connection.fetch(self.sql(query), *args)
        return rows

    async def read(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Run a named query that only reads, again after passing failures and a lost connection."""
        return await self.retrying(partial(self.fetch, query, *args), idempotent=True)

    async def _notification_usage(self) -> float:
        rows = await self.fetch("notification_usage")
        usage: float = rows[0]["usage"]
        return usage

    async def retrying(
        self,
        body: Callable[[], Awaitable[T]],
        *,
        idempotent: bool = False,
        when_locked: bool = True,
    ) -> T:
        """Call `body`, again after serialization failures, deadlocks and stale plans.

        After a lost connection nobody knows whether the work was committed, so that is retried only
        where the body is `idempotent`; a lock that was not to be had, only `when_locked`.
        """
        in_doubt = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await body()
            except Exception as error:
                retryable = is_retryable(error) or (idempotent and is_connection_loss(error))
                locked = is_lock_timeout(error) and not when_locked
                if isinstance(error, UnavailableError):
                    # That the last attempt did nothing says nothing of those before.
                    error.in_doubt = in_doubt = in_doubt or error.in_doubt
                if attempt == ATTEMPTS or locked or not retryable:
                    raise
            await anyio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    async def notifying(
        self,
        body: Callable[[bool], Awaitable[T]],
        wanted: bool,
        *,
        idempotent: bool = False,
        when_locked: bool = True,
    ) -> T:
        """Call `body(notify)` as `retrying` does, and again without notifications where the server
        has no room for them; `wanted` says whether there are to be any.
        """

        async def write(notify: bool) -> T:
            return await self.retrying(
                partial(body, notify), idempotent=idempotent, when_locked=when_locked
            )

        return await self.notifications.send(write, wanted)


class HasStore:
    """What stands before a store: a user sees the one, and not the other."""

    _store: Store


def store_of(holder: HasStore) -> Store:
    return holder._store


async def take_back(pool: asyncpg.Pool[Any], connection: Any) -> None:
    """Release a connection after a failure, which goes on whatever comes of it. The server may have
    to acknowledge a cancellation first; if it has not within END_TIMEOUT seconds, or when the
    caller is cancelled once more, the connection is ended.
    """
    releasing = asyncio.ensure_future(pool.release(connection, timeout=END_TIMEOUT))
    cancelled: asyncio.CancelledError | None = None
    # A cancelled release would leave the connection checked out for ever.
    with anyio.CancelScope(shield=True):
        while not releasing.done():
            try:
                await asyncio.wait([releasing])
            except asyncio.CancelledError as error:
                cancelled = error
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
    if not releasing.cancelled() and (failure := releasing.exception()):
        _log.debug("a connection was not given back: %r", failure)
    if cancelled is not None:
        raise cancelled
