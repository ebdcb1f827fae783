"""A connection of one's own, outside the pool: for the heartbeat, for LISTEN, for the hot path."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import anyio
import asyncpg

from baton.store.connecting import Connector
from baton.store.faults import is_database_fault, is_wrong_isolation
from baton.store.session import PlainConnection, server_settings, transaction
from baton.store.sql import Sql
from baton.store.translating import not_connected, translated
from baton.words.database_errors import DatabaseError


class Dedicated:
    """One connection that is replaced, never repaired: after any failure it is terminated. What the
    driver raises leaves every method as an error of Baton's.

    Bound to the event loop that uses it. Timeouts are seconds.
    """

    def __init__(
        self, connector: Connector, sql: Sql, *, application_name: str, timeout: float = 10.0
    ) -> None:
        self._connector = connector
        self._sql = sql
        self._application_name = application_name
        self._timeout = timeout
        self._connection: PlainConnection | None = None
        self._isolates = False

    @property
    def connected(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    @property
    def lent(self) -> bool:
        """Whether a pooler lends the session for each transaction, so that it keeps nothing."""
        return self._connection is not None and bool(self._connection.lent)

    async def connect(self) -> None:
        """Connect unless connected. Raises UnavailableError."""
        if self.connected:
            return
        self.drop()
        try:
            with anyio.fail_after(self._timeout):
                self._connection = await self._connector.session(
                    timeout=self._timeout,
                    command_timeout=self._timeout,
                    server_settings=server_settings(self._application_name),
                )
        except Exception as error:
            if not is_database_fault(error):
                raise
            raise not_connected(error) from error

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Run a named query; on any failure the connection is gone."""
        try:
            return await self._fetch(self._required(), self._sql(query), args)
        except BaseException as error:
            # No context manager: this is called for every link of a chain of steps.
            ours = self._failed(error)
            if ours is None:
                raise
            raise ours from error

    async def _fetch(
        self, connection: PlainConnection, query: str, args: Sequence[object]
    ) -> list[asyncpg.Record]:
        if not self._isolates:
            try:
                return await connection.fetch(query, *args, timeout=self._timeout)
            except asyncpg.PostgresError as error:
                if not (connection.lent and is_wrong_isolation(error)):
                    raise
            # A pooler's session has the database's default, which is none of ours.
            self._isolates = True
        async with transaction(connection):
            return await connection.fetch(query, *args, timeout=self._timeout)

    async def begin(self) -> None:
        """Begin a transaction, which ends when the connection is dropped: nothing in it is kept."""
        with self._replaced_after_failure():
            await self._required().execute(
                "BEGIN ISOLATION LEVEL READ COMMITTED", timeout=self._timeout
            )

    async def listen(self, channel: str, callback: Callable[[str, str], None]) -> None:
        """Subscribe to a channel. `callback(channel, payload)` runs in the loop and
        must not block.
        """

        def receive(_: object, __: int, name: str, payload: object) -> None:
            callback(name, str(payload))

        with self._replaced_after_failure():
            await self._required().add_listener(channel, receive)

    def on_termination(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the connection is lost. A silent half-open connection never tells:
        probe it.
        """
        with self._replaced_after_failure():
            self._required().add_termination_listener(lambda _: callback())

    def drop(self) -> None:
        """Abandon the connection at once."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    @contextmanager
    def _replaced_after_failure(self) -> Generator[None]:
        try:
            yield
        except BaseException as error:
            ours = self._failed(error)
            if ours is None:
                raise
            raise ours from error

    def _failed(self, error: BaseException) -> DatabaseError | None:
        """Drop the connection; what to raise in place of the error."""
        self.drop()
        return translated(error)

    def _required(self) -> PlainConnection:
        if self._connection is None:
            raise asyncpg.InterfaceError("the dedicated connection is closed")
        return self._connection
