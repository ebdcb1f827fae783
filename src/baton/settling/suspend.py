"""Puts steps to sleep that wait for events."""

from __future__ import annotations

from collections.abc import Sequence

from baton.settling.settle import Failures
from baton.store.database import Database
from baton.store.waits import Decided, suspend_jobs
from baton.words.rows import Outcome


async def suspend(database: Database, outcomes: Sequence[Outcome], *, notify: bool) -> Failures:
    """Suspend claimed jobs, fenced, and arm their waits in the same transaction: one whose events
    are there already is runnable at once.
    """

    async def body() -> Decided:
        return await suspend_jobs(database, outcomes, notify=notify)

    reply = await database.retrying(body, idempotent=True)
    return Failures(
        accepted=frozenset(reply.accepted),
        completions=reply.completions,
        woken=reply.woken,
        waits=reply.waits,
    )
