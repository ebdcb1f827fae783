"""Waits whose time has come: settled by the same decider as by an event.

What somebody else has locked and what the database refuses keeps back nothing else. A workflow,
step or job that is locked is passed by without waiting. A batch that fails all the same is
bisected, and what fails alone is set aside, with a delay that grows. Every pass goes through all
that is due, page by page, so that what is passed by hides nothing behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.core.payload_schema import problems
from baton.runtime.quarantine import LONGEST_DELAY, Quarantine
from baton.settling.announce import emit_finished
from baton.settling.cascade_hooks import emit_cancelled_steps
from baton.settling.wait_events import emit_settled_waits
from baton.store.bisecting import Accepted, bisected
from baton.store.due import (
    DueWait,
    Next,
    Place,
    expire_groups,
    find_due_waits,
    next_wait,
    rest_waits,
)
from baton.store.faults import is_lock_timeout, is_outage
from baton.store.settlement import Settlement
from baton.store.store import Store
from baton.waits.end_and_wake import Ending, end_wait
from baton.words.config import EngineSettings
from baton.words.effects import Effects

BATCH = 500
FIRST_LOOK = 0.05
LONGEST_LOOK = 0.5
"""Seconds until what is due and was passed by is looked at again."""
LONGEST_FOR_A_LOCK = 2.0
"""Seconds for which a wait is set aside that stands behind a lock: it goes on soon after."""
FOR_LOCKS = 1.0
"""Seconds of one pass that may be spent on waiting for locks."""

_TIMED_OUT = Ending("timeout", "time was over before the events had come")


class Refused:
    """What could not be settled alone: wait groups, and the workflows of those that stand behind a
    lock further down, which their other waits need too.
    """

    def __init__(self) -> None:
        self.groups: Quarantine[int] = Quarantine("wait group %s cannot be settled")
        self.workflows: Quarantine[UUID] = Quarantine("waits of workflow %s cannot be settled")


def longest(error: Exception) -> float:
    """For how many seconds something is set aside at most because of this."""
    return LONGEST_FOR_A_LOCK if is_lock_timeout(error) else LONGEST_DELAY


class Expiry:
    """The waits' timer of one process."""

    def __init__(self) -> None:
        self._refused = Refused()
        self._pause = FIRST_LOOK

    async def run(self, database: Store, settings: EngineSettings) -> float | None:
        """Settle all that is due; returns the seconds until the next look, None for no need of
        one.
        """
        settled = await expire_waits(database, settings, refused=self._refused)
        due = await next_wait(database)
        self._pause = FIRST_LOOK if settled else min(self._pause * 2, LONGEST_LOOK)
        return until(due, self._pause)


def until(due: Next, pause: float) -> float | None:
    """Seconds until the next look, where what is due now was passed by."""
    if not due.due:
        return due.seconds
    return pause if due.seconds is None else min(due.seconds, pause)


async def expire_waits(
    database: Store, settings: EngineSettings, *, refused: Refused | None = None
) -> int:
    """Settle all waits whose time is over; returns how many.

    Any number of sweepers may do this at once: each group is decided under its workflow's lock, and
    what is locked is passed by; it is due at the next look too.
    """
    work = _Pass(database, settings, Refused() if refused is None else refused)
    careful: list[DueWait] = []
    after = Place()
    while True:
        due = await find_due_waits(database, BATCH, after)
        await work.simply([wait for wait in due if not wait.careful])
        careful += (wait for wait in due if wait.careful)
        if len(due) < BATCH:
            break
        after = due[-1].place
    # One transaction each, some of which wait for a lock: nothing simple stands behind them.
    await work.carefully(careful)
    return work.settled


class _Pass:
    def __init__(self, database: Store, settings: EngineSettings, refused: Refused) -> None:
        self._database = database
        self._settings = settings
        self._refused = refused
        self._again = set(refused.groups.take_due())
        self._workflows_again = set(refused.workflows.take_due())
        self.settled = 0

    def _held(self, wait: DueWait) -> bool:
        """Whether it is set aside, and not to be tried again yet."""
        return wait.group_id in self._refused.groups and wait.group_id not in self._again

    async def simply(self, due: Sequence[DueWait]) -> None:
        """Decide groups together; those that failed before each alone."""
        tried = [wait for wait in due if not self._held(wait)]
        looking = [wait.group_id for wait in tried if wait.looks]
        resting = await rest_waits(self._database, looking) if looking else set()
        groups = [wait.group_id for wait in tried if wait.group_id not in resting]
        self._accept(resting)
        await self._expire([group for group in groups if group not in self._again])
        for group in groups:
            if group in self._again:
                await self._expire([group])

    async def _expire(self, groups: Sequence[int]) -> None:
        async for part in bisected(groups, self._decide):
            if isinstance(part, Accepted):
                self.settled += len(part.reply.waits)
                emit_settled_waits(self._database.engine, part.reply.waits)
                emit_finished(self._database.engine, part.reply.completions)
                self._accept(part.items)
            else:
                self._refused.groups.refuse(part.item, part.error, longest(part.error))

    def _accept(self, groups: Iterable[int]) -> None:
        self._refused.groups.accept(groups)

    async def _decide(self, groups: Sequence[int]) -> Effects:
        async def body(notify: bool) -> Effects:
            return await expire_groups(self._database, groups, notify=notify)

        return await self._database.notifying(
            body, self._settings.notify, idempotent=True, when_locked=False
        )

    async def carefully(self, due: Sequence[DueWait]) -> None:
        """Decide groups one by one: a mailbox has to be checked, or the step is to be failed."""
        spent = 0.0
        for wait in due:
            behind = wait.workflow_id in self._refused.workflows
            if self._held(wait) or (behind and wait.workflow_id not in self._workflows_again):
                continue
            begun = monotonic()
            try:
                effects = await _decide_alone(self._database, self._settings, wait)
            except Exception as error:
                if is_outage(error):
                    raise
                if not is_lock_timeout(error):
                    self._refused.groups.refuse(wait.group_id, error)
                    continue
                self._workflows_again.discard(wait.workflow_id)
                self._refused.workflows.refuse(wait.workflow_id, error, LONGEST_FOR_A_LOCK)
                spent += monotonic() - begun
                if spent > FOR_LOCKS:
                    return
            else:
                self._accept([wait.group_id])
                if effects is not None:
                    self._refused.workflows.accept([wait.workflow_id])
                    emit_effects(self._database, self._settings, effects)
                    self.settled += len(effects.waits)


async def _decide_alone(database: Store, settings: EngineSettings, due: DueWait) -> Effects | None:
    """None when somebody else is at work on it."""

    async def body(notify: bool) -> Effects | None:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            if not await settlement.try_wait(due.group_id):
                return None
            fitting = await _fitting(settlement, due.group_id)
            effects = await settlement.decide_waits([due.group_id], fitting)
            if effects.failing:
                return await end_wait(settlement, due.workflow_id, due.group_id, _TIMED_OUT)
            return effects

    return await database.notifying(body, settings.notify, idempotent=True, when_locked=False)


async def _fitting(settlement: Settlement, group_id: int) -> list[int]:
    """The events of a group's mailbox that its schema takes."""
    fitting: list[int] = []
    for event in await settlement.read_candidates(group_id):
        wrong = problems(decode(event.payload), decode(event.payload_schema), event.name)
        if not wrong:
            fitting.append(event.event_id)
    return fitting


def emit_effects(database: Store, settings: EngineSettings, effects: Effects) -> None:
    """Tell of what a slow settlement of waits did, after its commit."""
    emit_settled_waits(database.engine, effects.waits)
    emit_cancelled_steps(database, settings, effects.cancelled)
    emit_finished(database.engine, effects.completions)
