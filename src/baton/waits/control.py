"""Looking at what waits, and ending it by request."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from baton.core.checks import check_page_limit, flag, parse_workflow_id
from baton.core.errortext import sanitize
from baton.core.names import (
    validate_event_name,
    validate_key,
    validate_step_name,
    validate_workflow_name,
)
from baton.reading.paging import parse_id
from baton.runtime.tasks import to_the_end
from baton.store.ambient import EngineOrName, opened
from baton.store.settlement import Settlement
from baton.store.waits import WaitFilter, read_waiting
from baton.waits.ending import Ending, end_wait
from baton.waits.expire import emit_effects
from baton.words.effects import Effects
from baton.words.errors import InvalidOptionError, UnknownStepError, UnknownWorkflowError
from baton.words.paging import Page
from baton.words.rows import WaitingStep

MOST_WAITS = 10_000
"""Most waits of one page."""


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
    if not isinstance(reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidOptionError("reason", reason, "a text")
    database = instance.database

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
        effects = await database.notifications.send(
            lambda notify: database.retrying(partial(body, notify)), instance.settings.notify
        )
        if effects is None:
            return False
        emit_effects(database, instance.settings, effects)
        return bool(effects.waits)

    return await to_the_end(work())


async def waiting_steps(
    workflow_id: UUID | str | None = None,
    *,
    prompted: bool | None = None,
    event: str | None = None,
    correlation_key: str | None = None,
    workflow_name: str | None = None,
    limit: int = 100,
    after: str | None = None,
    engine: EngineOrName | None = None,
) -> Page[WaitingStep]:
    """What is waiting for what since when, oldest first: of one workflow, or of all.

    Only those with a prompt (`prompted`; False: those without), that wait for an `event`, with a
    `correlation_key`, or in workflows of a name; None for all. A page has up to `limit` rows (1 to
    10,000); `after` is the `next` of the page before. Reads only. Raises InvalidOptionError,
    InvalidNameError, NoEngineError.
    """
    instance = opened("waiting_steps", engine)
    given = None if workflow_id is None else parse_workflow_id(workflow_id)
    check_page_limit(limit, MOST_WAITS)
    wanted = WaitFilter(
        None if prompted is None else flag("prompted", prompted),
        None if event is None else validate_event_name(event),
        None if correlation_key is None else validate_key("correlation_key", correlation_key),
        None if workflow_name is None else validate_workflow_name(workflow_name),
    )
    last = 0 if after is None else parse_id(after)
    rows = await read_waiting(instance.database, given, wanted, limit + 1, last)
    more = len(rows) > limit
    return Page(tuple(rows[:limit]), str(rows[limit - 1].wait_id) if more else None)
