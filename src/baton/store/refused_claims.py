"""Typed calls that find the jobs whose claim the database refuses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import asyncpg

from baton.store.bisecting import Refused, bisected
from baton.store.jobs import Claimant
from baton.store.store import Store


class _UndoError(Exception):
    """Ends a transaction that was only tried."""


async def find_refused_claims(
    database: Store, engine: UUID, queue: str, limit: int, left_out: Sequence[int]
) -> list[Refused[int]]:
    """Of the next `limit` jobs of a queue that a claim would take, those that the database refuses
    to give out. Claims nothing.
    """
    rows = await database.fetch("find_available", queue, limit, left_out)
    return await try_claims(database, engine, [row["id"] for row in rows])


async def try_claims(database: Store, engine: UUID, job_ids: Sequence[int]) -> list[Refused[int]]:
    """Of these jobs, those that the database refuses to give out. Claims nothing."""
    tried = bisected(job_ids, partial(_try, database, Claimant("", engine)))
    return [part async for part in tried if isinstance(part, Refused)]


async def _try(database: Store, claimant: Claimant, job_ids: Sequence[int]) -> None:
    try:
        async with database.transaction() as connection:
            await _claim(connection, database.sql("try_claims"), job_ids, claimant)
            raise _UndoError
    except _UndoError:
        return


async def _claim(
    connection: asyncpg.Connection, text: str, job_ids: Sequence[int], claimant: Claimant
) -> None:
    await connection.fetch(text, job_ids, claimant.attempted_by)
    # What is checked at the commit only is checked now.
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
