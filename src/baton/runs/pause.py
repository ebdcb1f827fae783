"""Pauses a workflow, and has it go on.

Idea: a paused workflow is one whose every unsettled step waits for one thing more. Each counts one
more in `pending`, so that no settlement, no event and no wake-up brings it to 0, and the jobs that
could be claimed sleep. Nothing looks whether a workflow is paused on the way of steps that run.

What runs goes on and settles, and so do waits that were armed. An attempt that fails, or is given
back, leaves a job that could be claimed again: its claim comes with a `pending` above 0, so that
the gate is asked, which holds it (`performing/perform.py`).
"""

from __future__ import annotations

from uuid import UUID

from baton.runs.actions import Told, lock_for
from baton.store.settlement import Settlement
from baton.store.store import Store
from baton.words.actions import NewAction
from baton.words.effects import Effects
from baton.words.states import JobState
from baton.words.workflow_errors import UnknownWorkflowError, WorkflowFinishedError


async def pause_workflow(
    database: Store, workflow_id: UUID, told: Told, *, notify: bool
) -> Effects:
    """Start no further step of a workflow. Without an action when it is paused already.

    Raises UnknownWorkflowError, WorkflowFinishedError.
    """

    async def body(notify: bool) -> Effects:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            course = await lock_for(settlement, workflow_id, told)
            if course is None:
                raise UnknownWorkflowError(workflow_id)
            if course.outstanding == 0:
                raise WorkflowFinishedError(workflow_id, "there is nothing to pause")
            if course.paused:
                return Effects()
            suspended = await settlement.pause_jobs(workflow_id)
            await settlement.pause_workflow(workflow_id, told.reason)
            action = NewAction(
                workflow_id,
                "pause",
                told.by,
                told.reason,
                course.run,
                result={"suspended": suspended},
                bulk_id=told.bulk_id,
            )
            await settlement.record_action(action)
            return Effects(actions=[action])

    return await database.notifying(body, notify, idempotent=True)


async def resume_workflow(
    database: Store, workflow_id: UUID, told: Told, *, notify: bool
) -> Effects:
    """Have a paused workflow go on. Without an action when it is not paused.

    One that ended while it was paused is only not paused any more, for a retry.
    Raises UnknownWorkflowError; WorkflowFinishedError when it has ended and is not paused.
    """

    async def body(notify: bool) -> Effects:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            course = await lock_for(settlement, workflow_id, told)
            if course is None:
                raise UnknownWorkflowError(workflow_id)
            if not course.paused:
                if course.outstanding == 0:
                    raise WorkflowFinishedError(workflow_id, "there is nothing to resume")
                return Effects()
            ready, opened = await settlement.resume_workflow(workflow_id)
            states = await settlement.lock_jobs(ready)
            asleep = [i for i, state in states.items() if state is JobState.SUSPENDED]
            released = await settlement.release_jobs(asleep) if asleep else []
            further = await settlement.open_steps(opened) if opened else Effects()
            action = NewAction(
                workflow_id,
                "resume",
                told.by,
                told.reason,
                course.run,
                result={"released": len(asleep)},
                bulk_id=told.bulk_id,
            )
            await settlement.record_action(action)
            return Effects(released=released, actions=[action]).plus(further)

    return await database.notifying(body, notify, idempotent=True)
