"""Races with a known winner: it holds a lock, the loser runs the real code and waits behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from support.waiting import DEADLINE, eventually

T = TypeVar("T")


class Race:
    """`winner` is a connection in a transaction: let it take the lock, send others `behind` it."""

    def __init__(self, winner: asyncpg.Connection[Any], watcher: asyncpg.Connection[Any]) -> None:
        self.winner = winner
        self._watcher = watcher
        self._transaction = winner.transaction()
        self._losers: list[asyncio.Task[Any]] = []

    async def behind(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start `work` and return once Postgres shows one more backend waiting for the winner."""
        before = len(await self._waiting())
        task = asyncio.create_task(work)
        self._losers.append(task)

        async def one_more() -> bool:
            if task.done():
                task.result()
                raise AssertionError("the work did not wait for the winner")
            return len(await self._waiting()) > before

        await eventually(one_more, DEADLINE)
        return task

    async def commit(self) -> None:
        """End the winner's transaction; the losers go on."""
        await self._transaction.commit()

    async def rollback(self) -> None:
        """Undo what the winner did; the losers go on."""
        await self._transaction.rollback()

    async def _waiting(self) -> set[int]:
        """The backends blocked by the winner, directly or behind one another."""
        rows = await self._watcher.fetch(
            """
            WITH RECURSIVE waiting (pid) AS (
                SELECT $1::integer
                UNION
                SELECT a.pid FROM pg_stat_activity a, waiting w
                WHERE a.datname = current_database() AND w.pid = ANY (pg_blocking_pids(a.pid))
            )
            SELECT pid FROM waiting WHERE pid <> $1
            """,
            self.winner.get_server_pid(),
        )
        return {row["pid"] for row in rows}


@asynccontextmanager
async def race(dsn: str) -> AsyncIterator[Race]:
    """A race whose winner has begun; at the end nothing of it is left running."""
    winner, watcher = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    running = Race(winner, watcher)
    await running._transaction.start()
    try:
        yield running
    finally:
        winner.terminate()
        watcher.terminate()
        for task in running._losers:
            task.cancel()
        await asyncio.gather(*running._losers, return_exceptions=True)
