"""A wait is ended by request."""

from __future__ import annotations

from uuid import UUID

from baton.core.checks import check_reason, parse_workflow_id
from baton.core.errortext import sanitize
from baton.core.names import validate_step_name
from baton.runtime.tasks import to_the_end
from baton.store.ambient import EngineOrName, opened
from baton.store.settlement import Settlement
from baton.store.store import store_of
from baton.waits.end_and_wake import Ending, end_wait
from baton.waits.expire import emit_effects
from baton.words.effects import Effects
from baton.words.workflow_errors import UnknownStepError, UnknownWorkflowError


async def cancel_wait(
    workflow_id: UUID | str,
    step: str,
    reason: str = "cancelled by request",
    *,
    engine: EngineOrName | None = None,
) -> bool:
    """End the wait of a step: whether this call did. False: the step does not wait, or no more.

    A wait step is cancelled with the reason, and its dependents with it unless they ignore
    that. A wait inside a step returns WaitCancelled(reason), and the step goes on.
    Raises UnknownWorkflowError, UnknownStepError; UnavailableError when it is unknown whether that
    was done, so that the call may be made again.
    """
    instance = opened("cancel_wait", engine)
    given = parse_workflow_id(workflow_id)
    name = validate_step_name(step)
    check_reason(reason)
    database = store_of(instance)

    async def body(notify: bool) -> Effects | None:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            if not await settlement.lock_workflow(given):
                raise UnknownWorkflowError(given)
            found = await settlement.find_group(given, name)
            if found is None:
                raise UnknownStepError(given, name)
            if found.group_id is None:
                return None
            ending = Ending("cancelled", sanitize(reason))
            return await end_wait(settlement, given, found.group_id, ending)

    async def work() -> bool:
        effects = await database.notifying(body, instance.settings.notify)
        if effects is None:
            return False
        emit_effects(database, instance.settings, effects)
        return bool(effects.waits)

    return await to_the_end(work())
