"""Puts steps to sleep that wait for events."""

from __future__ import annotations

from collections.abc import Sequence

from baton.store.store import Store
from baton.store.waits import suspend_jobs
from baton.words.effects import Effects
from baton.words.rows import Outcome


async def suspend(database: Store, outcomes: Sequence[Outcome], *, notify: bool) -> Effects:
    """Suspend claimed jobs, fenced, and arm their waits in the same transaction: one whose events
    are there already is runnable at once.
    """

    async def body() -> Effects:
        return await suspend_jobs(database, outcomes, notify=notify)

    return await database.retrying(body, idempotent=True)
