"""Settles a step by hand as completed, with a result that somebody brings.

One that has not settled settles as if it had returned the result. One that failed is put back to
its beginning first, together with the steps that its failure has cancelled, and settles in the same
transaction: nobody sees it between. If the workflow had ended, that begins its next run.
"""

from __future__ import annotations

from uuid import UUID

from baton.core.revival import revived
from baton.runs.actions import Told
from baton.runs.retry import announced, lock_chosen, put_back
from baton.runs.steps import lock_step
from baton.settling.settle_failures import settle_nodes
from baton.store.resetting import Resetting
from baton.store.settlement import Course, Ended
from baton.store.store import Store
from baton.words.actions import NewAction
from baton.words.effects import Effects
from baton.words.run_errors import DeletedJobError
from baton.words.states import FAILED_STATES, JobState, StepState
from baton.words.workflow_errors import StepSettledError


async def complete_step(
    database: Store, workflow_id: UUID, name: str, result: str, told: Told, *, notify: bool
) -> Effects | None:
    """Settle a step as completed with a result, JSON text as it is stored. None when there is no
    such step.

    Raises StepSettledError for a step that neither is open nor failed, DeletedJobError.
    """

    async def body(notify: bool) -> Effects | None:
        async with database.committing() as connection:
            resetting = Resetting(connection, database.sql, notify=notify)
            locked = await lock_step(resetting, workflow_id, name)
            if locked is None:
                return None
            course, step = locked
            job_id, run, back, before = step.job_id, course.run, 0, Effects()
            if step.settled in FAILED_STATES:
                run, back, before = await _reopen(resetting, workflow_id, job_id, course)
            elif step.settled is not None:
                raise StepSettledError(workflow_id, name, step.settled)
            states = await resetting.lock_jobs([job_id])
            runs = states.get(job_id) is JobState.EXECUTING
            lost = await resetting.interrupt_jobs([job_id] if runs else [])
            await resetting.complete_job(job_id)
            settled = await settle_nodes(resetting, [Ended(job_id, StepState.COMPLETED, result)])
            if job_id not in settled.accepted:
                # Another job has its id.
                raise DeletedJobError(workflow_id, [name])
            action = NewAction(
                workflow_id,
                "complete_step",
                told.by,
                told.reason,
                run,
                name,
                result={"begun_anew": back},
            )
            await resetting.record_action(action)
            done = Effects(interrupted=lost, actions=[action])
            return before.plus(settled).plus(done)

    return await database.notifying(body, notify, idempotent=True)


async def _reopen(
    resetting: Resetting, workflow_id: UUID, job_id: int, course: Course
) -> tuple[int, int, Effects]:
    """Put a failed step and what it doomed back to their beginning; the run that goes on, and how
    many steps it had doomed.
    """
    ended = await announced(resetting, workflow_id, course)
    below = revived(job_id, await resetting.find_doomed_below(job_id))
    jobs = await lock_chosen(resetting, workflow_id, sorted([job_id, *below]), interrupt=True)
    lost = await resetting.interrupt_jobs(jobs.running)
    run, opened, queues = await put_back(resetting, workflow_id, jobs, course)
    done = ended.plus(Effects(released=queues, interrupted=lost))
    # Most steps below wait for this one, which is about to settle: it is not to be opened itself.
    others = [other for other in opened if other != job_id]
    if others:
        done = done.plus(await resetting.open_steps(others))
    return run, len(below), done
