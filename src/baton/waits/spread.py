"""Hands an event that was sent by a key to all who wait with it, in batches.

No batch waits for somebody else's lock on a workflow, a step or its job: those are passed over, and
the event stays open for them. A batch that fails is made smaller until one wait fails alone; that
one is passed over, too. All others have the event by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import anyio

from baton.core.jsonvalue import decode, encode
from baton.core.payload_schema import problems
from baton.runtime.quarantine import Quarantine
from baton.settling.announce import emit_finished
from baton.settling.cascade_hooks import emit_step_ends
from baton.settling.wait_events import emit_settled_waits
from baton.store import due
from baton.store.due import FIRST, Place, find_open_events, next_open_event, next_waiting
from baton.store.faults import is_outage
from baton.store.store import Store
from baton.waits.expire import FIRST_LOOK, LONGEST_FOR_A_LOCK, LONGEST_LOOK, longest, until
from baton.words.config import EngineSettings

BATCH = 200
BUSY = 3
"""How often an event is tried again that somebody else has locked."""
EVENTS = 100
"""Open events found at once."""
_SCHEMAS_LIMIT = 33_554_432


class Spread(NamedTuple):
    """How many waits took an event, and how many of them it settled."""

    received: int
    settled: int


class Refused:
    """What could not be handed out, by wait, and which events could not be closed. Only what is
    logged comes from here: how soon it is tried again stands at the event.
    """

    def __init__(self) -> None:
        self.groups: Quarantine[int] = Quarantine("wait group %s cannot receive an event")
        self.events: Quarantine[int] = Quarantine("event %s cannot be closed")


class Handing:
    """Finishes handing out the events whose senders have not: the timer of one process."""

    def __init__(self) -> None:
        self._refused = Refused()
        self._pause = FIRST_LOOK

    async def run(self, database: Store, settings: EngineSettings) -> float | None:
        """Hand out what is due; returns the seconds until the next look, None for no need of
        one.
        """
        settled = await hand_out(database, settings, refused=self._refused)
        due_next = await next_open_event(database)
        self._pause = FIRST_LOOK if settled else min(self._pause * 2, LONGEST_LOOK)
        return until(due_next, self._pause)


async def hand_out(
    database: Store, settings: EngineSettings, *, refused: Refused | None = None
) -> int:
    """Finish handing out events sent by a key; returns how many waits that settled. Any number of
    processes may do this at once.
    """
    refused = Refused() if refused is None else refused
    settled, after = 0, Place()
    while True:
        events = await find_open_events(database, EVENTS, after)
        for event_id, _ in events:
            done = await spread(database, event_id, notify=settings.notify, refused=refused)
            settled += done.settled
        if len(events) < EVENTS:
            return settled
        after = events[-1][1]


async def spread(
    database: Store,
    event_id: int,
    schemas: list[Any] | None = None,
    *,
    notify: bool,
    refused: Refused | None = None,
    patience: int = 0,
) -> Spread:
    """Hand an open event out until nobody is left who can have it. `schemas` are those it is known
    to satisfy. Safe to repeat, and to do twice at once.

    Whoever was passed over is tried again up to `patience` times, in growing distance: most locks
    are held for a moment only. Then it is left to the timers.
    """
    work = _Spreading(database, event_id, notify, refused or Refused())
    work.fitting += schemas or ()
    for turn in range(1, patience + 2):
        while await work.go_on():
            pass
        if work.left is None or turn > patience:
            break
        await anyio.sleep(0.01 * 2**turn)
        work.begin_anew()
    return Spread(work.received, work.settled)


@dataclass
class _Spreading:
    database: Store
    event_id: int
    notify: bool
    refused: Refused
    after: tuple[UUID, int] = FIRST
    limit: int = BATCH
    left: float | None = None
    """Somebody was passed over, and after how many seconds at most the event is due again."""
    fitting: list[Any] = field(default_factory=list)
    unfit: list[Any] = field(default_factory=list)
    received: int = 0
    settled: int = 0
    busy: int = 0

    def begin_anew(self) -> None:
        self.after, self.left, self.busy = FIRST, None, 0

    async def go_on(self) -> bool:
        """One batch; whether there are more."""
        try:
            reply = await self._batch()
        except Exception as error:
            if is_outage(error):
                raise
            return await self._refused(error)
        if isinstance(reply, bool):
            return reply and await self._busy()
        if isinstance(reply, list):
            return await self._ask(reply)
        emit_settled_waits(self.database.engine, reply.effects.waits)
        emit_step_ends(self.database.engine, reply.effects.cancelled)
        emit_finished(self.database.engine, reply.effects.completions)
        self.received += reply.received
        self.settled += len(reply.effects.waits)
        self.after = reply.after
        self.limit = min(self.limit * 2, BATCH)
        if reply.passed:
            self._pass_over(LONGEST_FOR_A_LOCK)
        return reply.more

    async def _batch(self) -> due.SpreadBatch | list[Any] | bool:
        fitting, unfit = (
            encode(schemas, what="the schemas", limit=_SCHEMAS_LIMIT)
            for schemas in (self.fitting, self.unfit)
        )

        async def body(notify: bool) -> due.SpreadBatch | list[Any] | bool:
            return await due.spread_event(
                self.database,
                self.event_id,
                self.after,
                fitting,
                unfit,
                self.limit,
                self.left,
                notify=notify,
            )

        return await self.database.notifying(body, self.notify, idempotent=True, when_locked=False)

    async def _busy(self) -> bool:
        """Whoever takes the event has it for a moment; whoever hands it out, or has it for longer,
        is not waited for.
        """
        self.busy += 1
        if self.busy > BUSY:
            return False
        await anyio.sleep(0.01 * 2**self.busy)
        return True

    async def _ask(self, schemas: list[Any]) -> bool:
        event = await due.read_event(self.database, self.event_id)
        if event is None:
            return False
        name, payload = event
        value = decode(payload)
        for schema in schemas:
            (self.unfit if problems(value, schema, name) else self.fitting).append(schema)
        return True

    async def _refused(self, error: Exception) -> bool:
        """A smaller batch next; one wait that fails alone is passed over."""
        if self.limit > 1:
            self.limit = max(self.limit // 4, 1)
            return True
        found = await next_waiting(self.database, self.event_id, self.after)
        if found is None:
            # What is refused is to close the event.
            self.refused.events.refuse(self.event_id, error)
            return False
        _, group_id = self.after = found
        self.refused.groups.refuse(group_id, error)
        self._pass_over(longest(error))
        return True

    def _pass_over(self, seconds: float) -> None:
        self.left = max(self.left or 0.0, seconds)
