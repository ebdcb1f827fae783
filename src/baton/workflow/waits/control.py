"""Looking at what waits, and ending it by request."""

from __future__ import annotations

from uuid import UUID

from baton.core.errortext import sanitize
from baton.core.names import validate_step_name
from baton.engine.tasks import to_the_end
from baton.store.settlement import Ended, Settlement
from baton.store.waits import EndedGroup, SettledWait, read_waiting
from baton.words.errors import InvalidOptionError, UnknownStepError, UnknownWorkflowError
from baton.words.rows import WaitingStep
from baton.words.states import JobState
from baton.workflow.ambient import Instance, current
from baton.workflow.options import parse_workflow_id
from baton.workflow.settle import Failures, cancelled_step, settle_nodes
from baton.workflow.waits.expire import tell_failures


async def cancel_wait(
    workflow_id: UUID | str,
    step: str,
    reason: str = "cancelled by request",
    *,
    engine: Instance | str | None = None,
) -> bool:
    """End the wait of a step: whether this call did. False: the step does not wait, or no more.

    A gate is cancelled with the reason, and its dependents with it unless they ignore that. A wait
    inside a step returns WaitCancelled(reason), and the step goes on.
    Raises UnknownWorkflowError, UnknownStepError.
    """
    instance = current(engine)
    given = parse_workflow_id(workflow_id)
    name = validate_step_name(step)
    if not isinstance(reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidOptionError("reason", reason, "a text")
    database = instance.database

    async def body() -> Failures | None:
        async with database.transaction() as connection:
            settlement = Settlement(connection, database.sql, notify=instance.settings.notify)
            if not await settlement.lock_workflow(given):
                raise UnknownWorkflowError(given)
            found = await settlement.find_group(given, name)
            if found is None:
                raise UnknownStepError(given, name)
            if found.group_id is None:
                return None
            return await _cancel(settlement, given, found.group_id, sanitize(reason))

    async def work() -> bool:
        failures = await database.retrying(body)
        if failures is None:
            return False
        tell_failures(database, instance.settings, failures)
        return bool(failures.waits)

    return await to_the_end(work())


async def waiting_steps(
    workflow_id: UUID | str | None = None,
    *,
    limit: int = 100,
    after: int = 0,
    engine: Instance | str | None = None,
) -> list[WaitingStep]:
    """What is waiting for what since when, oldest first: of one workflow, or of all a page of
    `limit`, past the `wait_id` of the last one of the page before. Reads only.
    """
    given = None if workflow_id is None else parse_workflow_id(workflow_id)
    _check_limit(limit)
    return await read_waiting(current(engine).database, given, limit, after)


def _check_limit(given: object) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= 10_000:
        raise InvalidOptionError("limit", given, "a whole number from 1 to 10000")


async def _cancel(
    settlement: Settlement, workflow_id: UUID, group_id: int, reason: str
) -> Failures:
    ended = await settlement.end_group(group_id, "cancelled", reason)
    if ended is None:
        return Failures()
    wait = _settled(workflow_id, ended)
    if not ended.gate:
        queue = await settlement.wake_job(ended.job_id)
        return Failures(woken=[queue] if queue else [], waits=[wait])
    jobs = await settlement.fail_job(ended.job_id, JobState.CANCELLED, reason)
    failures = await settle_nodes(settlement, [Ended(ended.job_id, JobState.CANCELLED)])
    own = [cancelled_step(job, workflow_id, ended.step, reason) for job in jobs]
    return failures._replace(waits=[wait, *failures.waits], cancelled=[*own, *failures.cancelled])


def _settled(workflow_id: UUID, ended: EndedGroup) -> SettledWait:
    return SettledWait(
        workflow_id,
        ended.workflow_name,
        ended.step,
        ended.job_id,
        ended.key,
        "cancelled",
        ended.seconds,
    )
