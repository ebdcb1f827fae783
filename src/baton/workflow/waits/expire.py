"""Waits whose time has come: settled by the same decider as by an event."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from baton.core.answers import problems
from baton.core.jsonvalue import decode
from baton.store.database import Database
from baton.store.faults import is_content_fault
from baton.store.settlement import Settlement
from baton.store.waits import (
    Decided,
    DueWait,
    expire_groups,
    find_due_waits,
    find_open_events,
    next_wait,
    postpone_wait,
)
from baton.words.config import EngineSettings
from baton.words.wait_errors import MissingExtraError
from baton.workflow.cascade_hooks import tell_cancelled
from baton.workflow.completion import tell_finished
from baton.workflow.settle import Failures
from baton.workflow.waits.ending import Ending, end_wait
from baton.workflow.waits.events import tell_waits
from baton.workflow.waits.spread import spread

_log = logging.getLogger("baton")

BATCH = 500

_TIMED_OUT = Ending("timeout", "time was over before the events had come")


class Expired(NamedTuple):
    """What one look came to. `more` says that the batch was full: look again."""

    settled: int
    more: bool


async def expire_waits(database: Database, settings: EngineSettings, limit: int = BATCH) -> Expired:
    """Settle up to `limit` waits whose time is over, and finish handing out events sent by a key.

    Any number of sweepers may do this at once: each group is decided under its workflow's lock, and
    a workflow that is locked is passed by; it is due at the next look too.
    """
    due = await find_due_waits(database, limit)
    simple = [wait.group_id for wait in due if not wait.careful]
    settled = 0
    if simple:
        settled += len((await _expire(database, simple, settings.notify)).waits)
    for wait in due:
        if wait.careful:
            settled += await _carefully(database, settings, wait)
    events = await find_open_events(database, limit)
    for event_id in events:
        settled += (await spread(database, event_id, notify=settings.notify)).settled
    return Expired(settled, len(due) == limit or len(events) == limit)


async def expire_until(database: Database, settings: EngineSettings) -> float | None:
    """Settle all that is due; returns the seconds until the next is, None when none is."""
    while True:
        expired = await expire_waits(database, settings)
        if not (expired.more and expired.settled):
            return await next_wait(database)


async def _expire(database: Database, groups: Sequence[int], notify: bool) -> Decided:
    async def body() -> Decided:
        return await expire_groups(database, groups, notify=notify)

    try:
        reply = await database.retrying(body, idempotent=True)
    except Exception as error:
        if not is_content_fault(error):
            raise
        if len(groups) == 1:
            await _put_off(database, groups[0], error)
            return Decided.none()
        # One bad row must not keep the others.
        found = [await _expire(database, [group], notify) for group in groups]
        return Decided.none()._replace(waits=[wait for one in found for wait in one.waits])
    tell_waits(reply.waits)
    tell_finished(reply.completions)
    return reply


async def _carefully(database: Database, settings: EngineSettings, due: DueWait) -> int:
    """Decide one group alone: its mailbox has to be checked, or its step is to be failed."""

    async def body() -> Failures:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=settings.notify)
            if not await settlement.try_workflow(due.workflow_id):
                return Failures()
            fitting = await _fitting(settlement, due.group_id)
            reply = await settlement.decide_waits([due.group_id], fitting)
            failures = Failures(completions=reply.completions, woken=reply.woken, waits=reply.waits)
            if reply.failing:
                failures = await end_wait(settlement, due.workflow_id, due.group_id, _TIMED_OUT)
            return failures

    try:
        failures = await database.retrying(body, idempotent=True)
    except Exception as error:
        if not is_content_fault(error) and not isinstance(error, MissingExtraError):
            raise
        await _put_off(database, due.group_id, error)
        return 0
    tell_failures(database, settings, failures)
    return len(failures.waits)


async def _fitting(settlement: Settlement, group_id: int) -> list[int]:
    """The events of a group's mailbox that its schema takes."""
    fitting: list[int] = []
    for event in await settlement.read_candidates(group_id):
        wrong = problems(decode(event.payload), decode(event.answers), event.name)
        if not wrong:
            fitting.append(event.event_id)
    return fitting


async def _put_off(database: Database, group_id: int, error: Exception) -> None:
    _log.error("wait group %d cannot be settled, again in a minute", group_id, exc_info=error)
    await postpone_wait(database, group_id)


def tell_failures(database: Database, settings: EngineSettings, failures: Failures) -> None:
    """Tell of what a slow settlement of waits did, after its commit."""
    tell_waits(failures.waits)
    tell_cancelled(database, settings, failures.cancelled)
    tell_finished(failures.completions)
