"""A database whose transactions wait for locks no longer than they are told to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from baton.store.store import Store


class Hurried(Store):
    """The same pool. Each transaction bounds its waits for locks to `lock_timeout` seconds;
    `pid` is the server's process of the one that began last.
    """

    def __init__(self, database: Store, lock_timeout: float) -> None:
        self.__dict__.update(database.__dict__)
        self._lock_timeout = lock_timeout
        self.pid: int | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[asyncpg.Connection[Any], None]:
        async with super().transaction() as connection:
            setting = f"{max(self._lock_timeout * 1000, 1):.0f}"
            self.pid = await connection.fetchval(self.sql("hurry_locks"), setting)
            yield connection

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        async with self.transaction() as connection:
            return await connection.fetch(self.sql(query), *args)
