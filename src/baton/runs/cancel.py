"""Cancels a workflow by request."""

from __future__ import annotations

from uuid import UUID

from baton.settling.settle import as_it_ended, cancelled_step, settle_nodes
from baton.store.database import Database
from baton.store.settlement import Settlement
from baton.words.actions import NewAction
from baton.words.effects import Effects
from baton.words.states import TERMINAL_STATES, JobState


async def cancel_workflow(
    database: Database, workflow_id: UUID, reason: str, *, notify: bool, by: str | None = None
) -> Effects | None:
    """Cancel every unfinished step of a workflow, running ones too; None when there is no such
    workflow.
    """

    async def body(notify: bool) -> Effects | None:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            course = await settlement.lock_course(workflow_id)
            if course is None:
                return None
            names = await settlement.read_unsettled(workflow_id)
            if not names:
                return Effects()
            states = await settlement.lock_jobs(list(names))
            live = {i: reason for i, state in states.items() if state not in TERMINAL_STATES}
            jobs = await settlement.cancel_jobs(live)
            await settlement.notify_cancelled([i for i in live if states[i] is JobState.EXECUTING])
            # A job that ended behind our back settles as it ended, one that vanished as cancelled.
            ended = [
                as_it_ended(i, JobState.CANCELLED if i in live else states.get(i)) for i in names
            ]
            settled = await settle_nodes(settlement, ended)
            action = NewAction(
                workflow_id, "cancel", by, reason, course.run, result={"cancelled": len(live)}
            )
            await settlement.record_action(action)
            return settled._replace(
                accepted=frozenset(live),
                cancelled=[cancelled_step(job, workflow_id, names[job.id], reason) for job in jobs],
                actions=[action],
            )

    return await database.notifying(body, notify, idempotent=True)
