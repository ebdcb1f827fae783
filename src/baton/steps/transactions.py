"""The transaction that a step shares with its own outcome."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from baton.store.step_transactions import StepConnection, StepTransaction, StepTransactions
from baton.words.step_errors import StepTransactionError

if TYPE_CHECKING:  # SQLAlchemy need not be installed
    from sqlalchemy.ext.asyncio import AsyncSession


class OwnTransaction:
    """What a `Step` has of its transaction; the engine commits it with the step's outcome."""

    __slots__ = ()

    if TYPE_CHECKING:
        name: str | None
        _transactions: StepTransactions | None
        _own: StepTransaction

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[StepConnection, None]:
        """A connection to Baton's database, in an open READ COMMITTED transaction.

            async with step.transaction() as conn:
                await conn.execute("UPDATE accounts SET …")
            return total

        What is written there, the step's result, the release of its dependents and perhaps the
        workflow's end are one commit, made after `perform` has returned. All of it is rolled back
        when `perform` raises, returns Snooze, Cancel, Discard or Skip, waits for an event, times
        out or is interrupted, and when the step is no longer this attempt's: it was cancelled,
        completed by hand, retried or rescued meanwhile.

        The connection is asyncpg's, as the database gives it to anybody: none of Baton's settings.
        It is held until the commit, and its locks are. At most as many as the engine's setting
        `transactions` are open at once; whoever comes later waits, within the step's timeout.

        Raises StepTransactionError: for a second transaction of this attempt; when the block is
        left after a statement in it failed and the error was passed over, or after a COMMIT; from
        the connection, for whatever is called after the block.
        """
        own = await self._begin_own()
        try:
            yield own.handed
            await own.leave()
        except BaseException:
            await own.roll_back()
            raise

    @asynccontextmanager
    async def session(self, **options: Any) -> AsyncGenerator[AsyncSession, None]:
        """As `transaction`, a SQLAlchemy AsyncSession over the connection; `options` are the
        session's. It is flushed at the end of the block. Its own `commit` keeps what was written
        until then for the step's commit, its `rollback` undoes what came after that.

        Raises MissingExtraError (extra `sqlalchemy`), and as `transaction`.
        """
        async with (
            self.transaction() as connection,
            self._own.sessions.over(connection, options) as session,
        ):
            yield session

    async def _begin_own(self) -> StepTransaction:
        if hasattr(self, "_own"):
            raise StepTransactionError(self.name, "exists already: an attempt has at most one")
        if self._transactions is None:
            raise StepTransactionError(self.name, "is for its perform: nothing else settles it")
        # Of two tasks of the body, the second must see it while the first still connects.
        object.__setattr__(self, "_own", None)
        own = await self._transactions.begin(self.name)
        object.__setattr__(self, "_own", own)
        return own


def transaction_of(step: OwnTransaction) -> StepTransaction | None:
    """The transaction that this attempt asked for."""
    return getattr(step, "_own", None)
