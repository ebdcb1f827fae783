"""Workflows whose deadline has passed are cancelled, by whichever process looks first.

A workflow that somebody else has locked is passed by, and looked at again soon: what holds its lock
may be its last settlement, and then it has ended in time. What the database refuses is set aside,
with a delay that grows, and keeps back no other.
"""

from __future__ import annotations

from uuid import UUID

from baton.runs.actions import emit_action
from baton.runs.cancel import cancel_locked
from baton.runtime.quarantine import Quarantine
from baton.settling.announce import emit_finished
from baton.settling.cascade_hooks import emit_cancelled_steps
from baton.settling.wait_events import emit_settled_waits
from baton.store.due import find_due_deadlines, next_deadline
from baton.store.faults import is_outage
from baton.store.settlement import Settlement
from baton.store.store import Store
from baton.store.sweeping import START
from baton.waits.expire import FIRST_LOOK, LONGEST_LOOK, until
from baton.words.actions import NewAction
from baton.words.config import EngineSettings
from baton.words.effects import Effects

BATCH = 500
REASON = "deadline passed"


class Deadlines:
    """The deadlines' timer of one process."""

    def __init__(self) -> None:
        self._refused: Quarantine[UUID] = Quarantine("workflow %s cannot be cancelled in time")
        self._pause = FIRST_LOOK

    async def run(self, database: Store, settings: EngineSettings) -> float | None:
        """Cancel what is due; returns the seconds until the next look, None for no need of one."""
        due = await next_deadline(database)
        if due.due:
            done = await self._cancel_due(database, settings)
            due = await next_deadline(database)
            self._pause = FIRST_LOOK if done else min(self._pause * 2, LONGEST_LOOK)
        return until(due, self._pause)

    async def _cancel_due(self, database: Store, settings: EngineSettings) -> int:
        again = set(self._refused.take_due())
        done, after = 0, ("-infinity", START)
        while True:
            found = await find_due_deadlines(database, BATCH, after)
            for workflow_id, _ in found:
                if workflow_id in self._refused and workflow_id not in again:
                    continue
                try:
                    done += await cancel_overdue(database, settings, workflow_id)
                except Exception as error:
                    if is_outage(error):
                        raise
                    self._refused.refuse(workflow_id, error)
                else:
                    self._refused.accept([workflow_id])
            if len(found) < BATCH:
                return done
            after = (found[-1][1], found[-1][0])


async def cancel_overdue(database: Store, settings: EngineSettings, workflow_id: UUID) -> bool:
    """Cancel a workflow whose deadline has passed and that has not ended; False where somebody else
    has it locked, or has dealt with the deadline.
    """

    async def body(notify: bool) -> Effects | None:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            if not await settlement.lock_free_workflows([workflow_id]):
                return None
            deadline = await settlement.take_deadline(workflow_id)
            course = await settlement.lock_course(workflow_id)
            if deadline is None or course is None:
                return None
            details = {"deadline": deadline.isoformat()}
            action = NewAction(workflow_id, "deadline", None, REASON, course.run, details=details)
            return await cancel_locked(settlement, action, REASON)

    effects = await database.notifying(body, settings.notify, idempotent=True)
    if effects is None:
        return False
    for action in effects.actions:
        emit_action(database, action)
    emit_settled_waits(database.engine, effects.waits)
    emit_cancelled_steps(database, settings, effects.cancelled)
    emit_finished(database.engine, effects.completions)
    return True
