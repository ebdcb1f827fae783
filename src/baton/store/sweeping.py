"""Typed calls of the sweep: what has ended and nobody noticed. Every look is bounded and goes on
after a cursor.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

from baton.store.store import Store

START = UUID(int=0)


class Look(NamedTuple):
    """Ids found, and where the next look begins: START when this one came to the end."""

    found: list[UUID]
    after: UUID


class KeyEvent(NamedTuple):
    """The place of an event in the mailboxes of the keys."""

    correlation_key: str
    name: str
    id: int


NO_EVENT = KeyEvent("", "", 0)


@asynccontextmanager
async def sweep_lock(database: Store) -> AsyncGenerator[bool, None]:
    """Whether nobody else sweeps this schema. Only saves work: a sweep is correct without it.

    A lock of a transaction, because a pooler between us and the server would lose or leak one of a
    session.
    """
    connection = database.dedicated("baton-sweeper")
    try:
        await connection.connect()
        await connection.begin()
        (row,) = await connection.fetch("try_sweep_lock")
        yield bool(row["taken"])
    finally:
        connection.drop()


async def find_open_workflows(database: Store, after: UUID, steps: int, limit: int) -> Look:
    """Of the next `limit` workflows, those that have not ended, with about so many outstanding
    steps together.
    """
    (row,) = await database.fetch("find_open_workflows", after, steps, limit)
    if row["more"]:
        return Look(row["found"], row["found"][-1])
    return Look(row["found"], row["last"] if row["looked_at"] == limit else START)


async def find_ended_jobs(
    database: Store, workflow_ids: Sequence[UUID], grace: float
) -> dict[UUID, list[int]]:
    """By workflow, the unsettled steps whose jobs have ended (completed ones `grace` seconds ago)
    or vanished.
    """
    rows = await database.fetch("find_ended_jobs", workflow_ids, grace)
    found: dict[UUID, list[int]] = {}
    for row in rows:
        found.setdefault(row["workflow_id"], []).append(row["job_id"])
    return found


async def find_unannounced(database: Store, after: UUID, limit: int) -> Look:
    """Of the next `limit` workflows, those that have ended and were never announced."""
    (row,) = await database.fetch("find_unannounced", after, limit)
    return Look(row["unannounced"] or [], row["last"] if row["looked_at"] == limit else START)


async def wake_matching(database: Store, after: KeyEvent, limit: int) -> tuple[int, KeyEvent]:
    """Beside the next `limit` events that are kept for a key, have waits look that left them
    behind; how many, and where the next look begins.
    """
    (row,) = await database.fetch("wake_matching", *after, limit)
    if row["looked_at"] < limit:
        return row["woken"], NO_EVENT
    return row["woken"], KeyEvent(row["correlation_key"], row["name"], row["id"])
