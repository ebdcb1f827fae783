"""What the sessions of Baton's own connections are like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

END_TIMEOUT = 1.0
"""Seconds for what a connection has to do after its work has failed or was cancelled: the server
acknowledges, or the connection is ended.
"""


class PlainConnection(asyncpg.Connection):
    """A connection without a reset query: Baton keeps no session state, so a release costs no round
    trip.

    `lent` is empty unless a pooler lends a session for each transaction: then it is the SQL that
    makes the session's settings for one.
    """

    lent = ""

    def get_reset_query(self) -> str:
        return ""


@contextmanager
def keeping_cancellation() -> Generator[None, None, None]:
    """A cancellation that arrives while the driver works leaves as CancelledError.

    The driver turns some into the error of whatever it does next, such as the TimeoutError of a
    release that waits for a silent server, and whoever tries again after a failure never ends.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise


@asynccontextmanager
async def transaction(connection: asyncpg.Connection[Any]) -> AsyncGenerator[None, None]:
    """A READ COMMITTED transaction with the session's settings."""
    lent: str = connection.lent  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    begun = connection.transaction(isolation="read_committed")
    try:
        await begun.start()
        if lent:
            await connection.execute(lent)
        yield
    except BaseException as error:
        # The driver may not know whether it has begun: a pooler ends what its client leaves.
        if lent and isinstance(error, asyncio.CancelledError):
            connection.terminate()
        else:
            await roll_back(connection, begun)
        raise
    await begun.commit()


async def roll_back(
    connection: asyncpg.Connection[Any] | PoolConnectionProxy[Any], begun: Transaction
) -> None:
    """Roll back, or end the connection, which comes to the same: nothing waits for a server that
    has fallen silent. Whatever comes of it, the failure under way tells more.
    """
    # Of a connection that was lost, the driver's pool has let go.
    with suppress(asyncpg.InterfaceError):
        if connection.is_closed():
            return
        try:
            with anyio.fail_after(END_TIMEOUT, shield=True):
                await begun.rollback()
        except BaseException as error:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            if not isinstance(error, Exception):
                raise


LOCK_TIMEOUT = 2.0
"""Seconds for which Baton's sessions wait for a lock."""


def server_settings(application_name: str, *, lock_timeout: float = LOCK_TIMEOUT) -> dict[str, str]:
    """Session settings of Baton's own connections; `lock_timeout` in seconds.

    The hot path reads after it locks, so it needs READ COMMITTED whatever the database's default
    is.
    """
    return {
        "application_name": application_name,
        "default_transaction_isolation": "read committed",
        "search_path": "pg_catalog",
        "jit": "off",
        # What waits for a lock holds up all that is settled with it.
        "lock_timeout": f"{lock_timeout * 1000:.0f}",
        # A role's bound of idle sessions is for forgotten ones: the pool and the listener are idle
        # on purpose.
        "idle_session_timeout": "0",
        # A plan made while a table was empty outlives its growth: until the first autovacuum a
        # single failure read the table once for every step below it.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }
