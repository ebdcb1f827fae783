"""Waiting for the state of a database: the only place of the tests that sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import pytest

T = TypeVar("T")

DEADLINE = 20.0


async def eventually(look: Callable[[], Awaitable[T]], deadline: float = DEADLINE) -> T:
    """The first true value of `look`, which is called again and again; fails after `deadline` s."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    pause = 0.002
    while True:
        seen = await look()
        if seen:
            return seen
        if loop.time() > end:
            pytest.fail(f"after {deadline} s still {seen!r}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.05)


async def moment(due: float) -> None:
    """Wait for a planned moment of the loop's clock: when to act, not what comes of it."""
    await asyncio.sleep(max(due - asyncio.get_running_loop().time(), 0.0))


async def answering(dsn: str, deadline: float = DEADLINE) -> None:
    """Wait until the server answers."""

    async def look() -> bool:
        try:
            connection = await asyncpg.connect(dsn, timeout=2.0)
            await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    await eventually(look, deadline)


async def wait_until_blocked(dsn: str, count: int = 1, deadline: float = DEADLINE) -> set[int]:
    """Wait until at least `count` backends of the database wait for a lock; their process ids."""
    connection = await asyncpg.connect(dsn)

    async def blocked() -> set[int]:
        pids = await connection.fetchval(
            """
            SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
            """
        )
        return set(pids) if len(pids) >= count else set()

    try:
        return await eventually(blocked, deadline)
    finally:
        await connection.close()
