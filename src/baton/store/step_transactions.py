"""Transactions of steps: a step's code writes in one, and its outcome is settled in the same.

Idea: each has a connection of its own, held from its beginning to the commit. The session is the
application's: none of Baton's settings, and nothing of it is left to the next step. The code gets a
connection that refuses everything once the block is left.

Invariant: a transaction is committed at most once, and only by `commit`; whatever else becomes of
it, it is rolled back, or its connection is ended, which comes to the same.

Failures that it survives: a lost reply of the commit is looked up, for as long as it takes. Whoever
performs the step must know: performed again after a commit, it would write its rows twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import uuid4

import anyio
import asyncpg
from asyncpg.pool import PoolConnectionProxy

from baton.store.faults import is_connection_loss, is_database_fault, is_outage
from baton.store.session import LOCK_TIMEOUT, roll_back
from baton.store.step_sessions import Sessions
from baton.store.store import Store, take_back
from baton.store.translating import said, translated
from baton.words.database_errors import DatabaseError, UnavailableError
from baton.words.step_errors import StepTransactionError

StepConnection: TypeAlias = "PoolConnectionProxy[Any]"
"""An asyncpg connection, as a step's code gets it."""

LOOK_UP_DELAY = 0.05
LONGEST_DELAY = 1.0


class UncommittedError(UnavailableError):
    """A step's transaction could not be begun or committed, and the step is not to blame."""


class ApplicationSession(asyncpg.Connection):
    """A session without Baton's settings, cleaned after each step."""

    lent = False

    def get_reset_query(self) -> str:
        # A pooler gives a lent session to others meanwhile, and cleans it itself.
        return "" if self.lent else f"{super().get_reset_query()}\nDISCARD TEMP;"


class Handed(PoolConnectionProxy):
    """The connection that a step's code gets; after the block it refuses everything."""

    __slots__ = ("_codecs", "_refusal")

    def __init__(self, connection: StepConnection) -> None:
        # Not the base's: the pool's own proxy stands before the connection already.
        self._con = connection
        self._holder = cast(Any, None)
        self._refusal: StepTransactionError | None = None
        self._codecs: list[tuple[str, str]] = []
        """What else than by the driver's own codecs values are read as: types with schemas."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            refusal = object.__getattribute__(self, "_refusal")
            if refusal is not None:
                raise refusal
        return object.__getattribute__(self, name)

    async def set_type_codec(self, typename: str, **options: Any) -> None:
        await super().set_type_codec(typename, **options)
        self._codecs.append((typename, options.get("schema", "public")))

    async def set_builtin_type_codec(self, typename: str, **options: Any) -> None:
        await super().set_builtin_type_codec(typename, **options)
        self._codecs.append((typename, options.get("schema", "public")))

    async def close(self, *, timeout: float | None = None) -> None:
        """Nothing: it is closed when the step has ended."""

    def terminate(self) -> None:
        """Nothing, as `close`."""


class Statements(NamedTuple):
    """Runs statements in a step's transaction, each within `bound` seconds."""

    connection: StepConnection
    bound: float

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Raises Baton's errors."""
        try:
            return await self.connection.fetch(query, *args, timeout=self.bound)
        except Exception as error:
            ours = translated(error)
            if ours is None:
                raise
            raise ours from error


class StepTransaction:
    """One transaction of one step; made by `StepTransactions`."""

    def __init__(
        self,
        transactions: StepTransactions,
        pool: asyncpg.Pool[Any],
        connection: StepConnection,
        step: str | None,
    ) -> None:
        self._store = transactions.store
        self._bound = transactions.command_timeout
        self.sessions = transactions.sessions
        self._pool = pool
        self._connection = connection
        self._transaction = connection.transaction(isolation="read_committed")
        self._step = step
        self._mark = uuid4().hex
        self._wrote: str | None = None
        self.handed = Handed(connection)
        self.gone = False
        """Whether it was rolled back, or committed."""
        self.left = False
        """Whether the block was left."""

    async def begin(self) -> None:
        await self._transaction.start()
        await self._connection.fetch(self._store.sql("mark_own_transaction"), self._mark)

    async def leave(self) -> None:
        """The block is left: from here on the step's code has no access. Raises
        StepTransactionError, and what a deferred constraint raises.
        """
        codecs = self.handed._codecs
        self.handed._refusal = StepTransactionError(
            self._step, "has ended for its code: statements belong into its block"
        )
        self.left = True
        connection = self._connection
        try:
            # What would else be raised by the commit, where nobody can catch it.
            await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            (row,) = await connection.fetch(self._store.sql("read_own_mark"), self._mark)
            for name, schema in codecs:
                await connection.reset_type_codec(name, schema=schema)
        except asyncpg.InFailedSQLTransactionError as error:
            problem = "has failed: a statement in it raised, and the error was passed over"
            raise StepTransactionError(self._step, problem) from error
        except (asyncpg.InterfaceError, OSError) as error:
            problem = f"cannot go on ({type(error).__name__}: {said(error)})"
            raise StepTransactionError(self._step, problem) from error
        if not row["whole"]:
            problem = (
                "was ended in its block: a COMMIT, a ROLLBACK or a RESET ALL. It is committed "
                "together with the step's result"
            )
            raise StepTransactionError(self._step, problem)

    async def settling(self) -> None:
        """What follows is the settlement. Raises StepTransactionError when the connection was lost
        meanwhile.
        """
        if self._lost:
            problem = (
                "was rolled back: its connection was lost before the step returned (the server "
                "may end a transaction that is idle, or lasts, for too long)"
            )
            raise StepTransactionError(self._step, problem)
        lock_timeout = f"{LOCK_TIMEOUT * 1000:.0f}"
        (row,) = await self.fetch("begin_own_settlement", lock_timeout)
        self._wrote = row["id"]

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Run a named query. Raises Baton's errors."""
        return await self.statements.fetch(self._store.sql(query), *args)

    @property
    def statements(self) -> Statements:
        """The connection, for statements of the settlement."""
        return Statements(self._connection, self._bound)

    async def commit(self) -> None:
        """Commit. Raises what the database raises, then nothing was written. A lost reply is looked
        up, which ends when it is known, or by a cancellation.
        """
        self.gone = True
        try:
            async with asyncio.timeout(self._bound):
                await self._transaction.commit()
        except BaseException as error:
            if not self._lost:
                self._connection.terminate()
            await self._give_back()
            if not isinstance(error, Exception) or not is_connection_loss(error):
                raise (translated(error) or error) from error
            if not await self._has_committed():
                raise (translated(error) or error) from error
        else:
            await self._give_back()

    async def _has_committed(self) -> bool:
        delay = LOOK_UP_DELAY
        while True:
            try:
                (row,) = await self._store.fetch("read_transaction_status", self._wrote)
            except DatabaseError as error:
                if not is_outage(error):
                    # A server that has taken over, and does not know of it.
                    return False
            else:
                if row["status"] != "in progress":
                    return bool(row["status"] == "committed")
            await anyio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    async def roll_back(self) -> None:
        """Undo all, unless it was committed; whatever comes of it, the next step gets a clean
        connection.
        """
        if self.gone:
            return
        self.gone = self.left = True
        self.handed._refusal = StepTransactionError(self._step, "was rolled back")
        try:
            for name, schema in self.handed._codecs:
                with suppress(Exception):
                    await self._connection.reset_type_codec(name, schema=schema)
            await roll_back(self._connection, self._transaction)
        finally:
            await self._give_back()

    @property
    def _lost(self) -> bool:
        try:
            return self._connection.is_closed()
        except asyncpg.InterfaceError:
            # The driver's pool has let go of it.
            return True

    async def _give_back(self) -> None:
        await take_back(self._pool, self._connection)


class StepTransactions:
    """The transactions of the steps of one engine, at most `most` at once; who comes later waits
    for a connection. Nothing is made before a step asks. Bounds are seconds.
    """

    def __init__(
        self, store: Store, most: int, *, command_timeout: float, acquire_timeout: float
    ) -> None:
        self.store = store
        self.command_timeout = command_timeout
        self.sessions = Sessions()
        self._most = most
        self._acquire_timeout = acquire_timeout
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    async def begin(self, step: str | None) -> StepTransaction:
        """A transaction that has begun. Raises UncommittedError."""
        connection: StepConnection | None = None
        try:
            pool = await self._opened()
            connection = await pool.acquire()
            begun = StepTransaction(self, pool, connection, step)
            await begun.begin()
        except BaseException as error:
            if connection is not None:
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
                await take_back(pool, connection)
            if not isinstance(error, Exception) or not is_database_fault(error):
                raise
            what = f"the transaction of step {step!r} could not be begun: {said(error)}"
            raise UncommittedError(what, refused=True) from error
        return begun

    def close(self) -> None:
        """End all connections, and what was not committed with them."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _opened(self) -> asyncpg.Pool[Any]:
        async with self._opening:
            if self._pool is None:
                self.store.expect_own_loop()
                self._pool = await asyncpg.create_pool(
                    connect=cast(Any, self._connect),
                    min_size=0,
                    max_size=self._most,
                    connection_class=ApplicationSession,
                )
            return self._pool

    async def _connect(self, _: str, **options: Any) -> ApplicationSession:
        connector = self.store.connector
        made: ApplicationSession = await connector.plain_session(
            application_name=self.store.application_name,
            timeout=self._acquire_timeout,
            **options,
        )
        made.lent = connector.lends
        return made
