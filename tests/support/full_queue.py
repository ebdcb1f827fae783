"""A server whose queue of notifications is full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import pytest

from baton.testing import embedded_postgres
from support.servers import SETTINGS

SMALL_QUEUE = {"max_notify_queue_pages": "64"}
"""Settings of a server whose queue is soon full, from PostgreSQL 17."""


@contextmanager
def small_queue_server() -> Iterator[str]:
    """A server whose queue is soon full; its DSN."""
    with embedded_postgres(settings={**SETTINGS, **SMALL_QUEUE}) as server:
        yield server


async def _fill(sender: asyncpg.Connection[Any], size: int) -> None:
    for number in range(20_000):
        await sender.execute("SELECT pg_notify('elsewhere', $1)", str(number).rjust(size))


@asynccontextmanager
async def full_queue(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Yields the connection of a session that listens in a transaction while notifications came."""
    opened: list[asyncpg.Connection[Any]] = []
    try:
        for _ in range(2):
            opened.append(await asyncpg.connect(dsn))
        listener, sender = opened
        await listener.execute("LISTEN elsewhere")
        await listener.execute("BEGIN")
        await listener.fetch("SELECT 1")
        # Small notifications fill what the large ones leave.
        for size in (7900, 1):
            with pytest.raises(asyncpg.ProgramLimitExceededError) as full:
                await _fill(sender, size)
            assert full.value.server_source_filename == "async.c"
        yield listener
    finally:
        # The server may have gone: then a farewell of one would keep the other from being ended.
        for connection in opened:
            connection.terminate()
