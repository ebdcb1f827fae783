"""The end of a workflow: recorded once, told once, awaited by anyone.

`check` and `announce` are also for another host of the same tables, an Oban runtime that runs the
jobs itself and lets Baton keep the books.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from baton.core.checks import parse_workflow_id
from baton.runtime.tasks import to_the_end
from baton.settling.cascade_hooks import emit_cancelled_steps
from baton.settling.settle_failures import settle_nodes
from baton.steps.results import encode_result
from baton.store.ambient import EngineOrName, Instance, opened
from baton.store.completions import parse_completion
from baton.store.settlement import Ended, Settlement
from baton.store.store import Store, store_of
from baton.telemetry import seam
from baton.words.argument_errors import InvalidArgumentError
from baton.words.effects import Effects
from baton.words.events import WorkflowCancelled, WorkflowFailed, WorkflowFinished
from baton.words.rows import Announced, Completion
from baton.words.states import TERMINAL_STATES, JobState, StepState, WorkflowOutcome

_log = logging.getLogger("baton")

T = TypeVar("T")

_UNSUCCESSFUL = {
    WorkflowOutcome.FAILED: WorkflowFailed,
    WorkflowOutcome.CANCELLED: WorkflowCancelled,
}


class HasId(Protocol):
    """A job of any host: all that is needed is its id."""

    @property
    def id(self) -> int | None: ...


async def check(
    job: HasId | int,
    terminal_state: JobState | str,
    *,
    result: object = None,
    engine: EngineOrName | None = None,
) -> WorkflowOutcome | None:
    """Settle the step of a job that ends as `terminal_state`, as another host tells it.

    The given state counts, whatever the job's row still says: the host writes it afterwards.
    `result` is the step's result when it completed. Returns the workflow's outcome if this call
    ended it. Never raises into the job: what fails is logged, and may be checked again; a step that
    has settled stays as it is.
    """
    job_id: int | None = None
    try:
        job_id = job if isinstance(job, int) else job.id
        instance = opened("check", engine)
        state = JobState(terminal_state)
        if state not in TERMINAL_STATES or job_id is None:
            raise InvalidArgumentError(
                "terminal_state", terminal_state, "completed, cancelled or discarded"
            )
        stored = None
        if state is JobState.COMPLETED:
            stored = encode_result(result, instance.settings.result_limit)
        effects = await to_the_end(_settle(instance, job_id, state, stored))
    except Exception:
        _log.exception(
            "checking job %s as %s failed; its step has not settled", job_id, terminal_state
        )
        return None
    return _outcome(effects.completions)


async def announce(
    workflow_id: UUID | str,
    workflow_name: str | None = None,
    *,
    engine: EngineOrName | None = None,
) -> WorkflowOutcome | None:
    """Announce a workflow whose steps have all settled; returns its outcome if this call announced
    it.

    None when it has not ended, is unknown, or was announced before. `workflow_name` only names it
    in the log.
    """
    instance = opened("announce", engine)
    given = parse_workflow_id(workflow_id)
    completions = await to_the_end(
        announce_all(store_of(instance), [given], notify=instance.settings.notify)
    )
    if completions:
        _log.info("workflow %s (%s) announced", workflow_id, workflow_name)
    return _outcome(completions)


async def announce_all(
    database: Store, workflow_ids: Sequence[UUID], *, notify: bool, pass_by: bool = False
) -> list[Announced]:
    """Announce those of these workflows that have ended and were not announced, and tell. With
    `pass_by`, those that somebody else has locked are left as they are.
    """

    async def body(notify: bool) -> list[Announced]:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            lock = settlement.lock_free_workflows if pass_by else settlement.lock_workflows
            locked = await lock(workflow_ids)
            await settlement.finish_workflows(locked)
            return await settlement.announce(locked)

    completions = await database.notifying(body, notify, idempotent=True)
    emit_finished(database.engine, completions)
    return completions


async def _settle(instance: Instance, job_id: int, state: JobState, result: str | None) -> Effects:
    database = store_of(instance)

    async def body(notify: bool) -> Effects:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            await settlement.lock_workflows_of_jobs([job_id])
            return await settle_nodes(settlement, [Ended(job_id, StepState(state), result)])

    effects = await database.notifying(body, instance.settings.notify, idempotent=True)
    emit_cancelled_steps(database, instance.settings, effects.cancelled)
    emit_finished(database.engine, effects.completions)
    return effects


def emit_finished(engine: str | None, completions: Sequence[Announced]) -> None:
    """Emit the events of completions that this engine, or this process without one, has just
    recorded and committed.
    """
    if not seam.active:
        return
    for _, text in completions:
        completion = parse_completion(text)
        seam.emit(
            WorkflowFinished(
                engine,
                completion.workflow_id,
                completion.workflow_name,
                completion.outcome,
                completion.failed_steps,
                completion.failed_count,
                completion.total_count,
                completion.duration.total_seconds(),
                (completion.announced_at - completion.finished_at).total_seconds(),
                completion.run,
                completion.skipped_steps,
            )
        )
        kind = _UNSUCCESSFUL.get(completion.outcome)
        if kind is not None:
            seam.emit(
                kind(
                    engine,
                    completion.workflow_id,
                    completion.workflow_name,
                    completion.failed_count,
                    completion.total_count,
                    completion.run,
                )
            )


def _outcome(completions: Sequence[Announced]) -> WorkflowOutcome | None:
    ended: list[Completion] = [parse_completion(text) for _, text in completions]
    return ended[0].outcome if ended else None
