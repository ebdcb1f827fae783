"""Who holds the lock that a session waits for, as the server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import asyncpg

from baton.store.hurried import Hurried
from baton.store.store import Store
from baton.words.base_error import BatonError

T = TypeVar("T")

FIRST_LOOK = 0.01
LOOK_INTERVAL = 0.02


async def find_lock_holders(database: Store, pid: int) -> str:
    """For whom a session waits now, in words; empty when it does not wait."""
    return "; ".join(_worded(row) for row in await database.fetch("find_lock_holders", pid))


class Watch:
    """Looks from another connection for whom a transaction waits, until it has seen it."""

    def __init__(self, database: Store, watched: Hurried) -> None:
        self._database = database
        self._watched = watched
        self.holders = ""

    async def over(self, work: Awaitable[T]) -> T:
        """The result of `work`, watched."""
        looking = asyncio.create_task(self._look())
        try:
            return await work
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> None:
        await asyncio.sleep(FIRST_LOOK)
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, BatonError, OSError):
            while not self.holders:
                if self._watched.pid is not None:
                    self.holders = await find_lock_holders(self._database, self._watched.pid)
                await asyncio.sleep(LOOK_INTERVAL)


def _worded(row: asyncpg.Record) -> str:
    if row["pid"] == 0:
        return f"prepared transaction {row['prepared'] or 'of an unknown name'}"
    facts = [
        f"application {row['application_name']}" if row["application_name"] else None,
        f"role {row['role']}" if row["role"] else None,
        row["state"],
        None if row["seconds"] is None else f"in a transaction for {row['seconds']:.0f} s",
    ]
    known = ", ".join(filter(None, facts))
    return f"process {row['pid']}" + (f" ({known})" if known else "")
