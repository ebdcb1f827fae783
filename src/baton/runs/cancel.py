"""Cancels a workflow, or one of its steps, by request."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from baton.runs.actions import Member, Told, lock_for
from baton.runs.steps import ByHand, lock_step
from baton.settling.settle_failures import as_it_ended, cancelled_step, settle_nodes
from baton.store.settlement import Settlement
from baton.store.store import Store
from baton.words.actions import NewAction
from baton.words.effects import Effects
from baton.words.states import TERMINAL_STATES, JobState
from baton.words.workflow_errors import StepSettledError


async def cancel_workflow(
    database: Store,
    workflow_id: UUID,
    reason: str,
    *,
    notify: bool,
    by: str | None = None,
    member: Member | None = None,
) -> Effects | None:
    """Cancel every unfinished step of a workflow, running ones too; None when there is no such
    workflow. Raises PassedByError for a `member` of a bulk operation.
    """
    told = Told(by, reason, member)

    async def body(notify: bool) -> Effects | None:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            course = await lock_for(settlement, workflow_id, told)
            if course is None:
                return None
            action = NewAction(workflow_id, "cancel", by, reason, course.run, bulk_id=told.bulk_id)
            return await cancel_locked(settlement, action, reason)

    return await database.notifying(body, notify, idempotent=True)


async def cancel_locked(settlement: Settlement, action: NewAction, reason: str) -> Effects:
    """Cancel every unfinished step of the workflow of an action, whose lock the caller holds, and
    record the action; nothing where the workflow has ended.
    """
    workflow_id = action.workflow_id
    names = await settlement.read_unsettled(workflow_id)
    if not names:
        return Effects()
    states = await settlement.lock_jobs(list(names))
    effects = await _cancel(settlement, workflow_id, names, states, reason)
    done = action._replace(result={"cancelled": len(effects.accepted)})
    await settlement.record_action(done)
    return effects._replace(actions=[done])


async def cancel_step(
    database: Store,
    workflow_id: UUID,
    name: str,
    reason: str,
    *,
    notify: bool,
    by: str | None = None,
) -> ByHand | None:
    """Cancel one step that has not settled, also a running one, and all below it that this dooms;
    None when there is no such step. Raises StepSettledError.
    """

    async def body(notify: bool) -> ByHand | None:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            locked = await lock_step(settlement, workflow_id, name)
            if locked is None:
                return None
            course, step = locked
            if step.settled is not None:
                raise StepSettledError(workflow_id, name, step.settled)
            states = await settlement.lock_jobs([step.job_id])
            effects = await _cancel(settlement, workflow_id, {step.job_id: name}, states, reason)
            if states and not effects.accepted:
                return ByHand(effects, states[step.job_id])
            done = {"cancelled": len(effects.cancelled)}
            action = NewAction(
                workflow_id, "cancel_step", by, reason, course.run, name, result=done
            )
            await settlement.record_action(action)
            return ByHand(effects._replace(actions=[action]))

    return await database.notifying(body, notify, idempotent=True)


async def _cancel(
    settlement: Settlement,
    workflow_id: UUID,
    names: Mapping[int, str],
    states: Mapping[int, JobState],
    reason: str,
) -> Effects:
    """Cancel unsettled steps, given by job id and name, and all that this dooms; `accepted` are the
    jobs cancelled for this reason. `states` are those of their locked jobs.

    A job that ended behind our back settles as it ended, one that vanished as cancelled.
    """
    live = {i: reason for i, state in states.items() if state not in TERMINAL_STATES}
    jobs = await settlement.cancel_jobs(live)
    lost = await settlement.interrupt_jobs([i for i in live if states[i] is JobState.EXECUTING])
    ended = [as_it_ended(i, JobState.CANCELLED if i in live else states.get(i)) for i in names]
    effects = await settle_nodes(settlement, ended)
    own = [cancelled_step(job, workflow_id, names[job.id], reason) for job in jobs]
    return effects._replace(
        accepted=frozenset(live), cancelled=[*own, *effects.cancelled], interrupted=lost
    )
