"""Typed calls of the waits' timer: what is due by the database's clock. Every look is bounded and
goes on after a cursor. Decides nothing: the decider is baton_decide_waits, in the schema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.store.store import Store
from baton.store.waits import decided
from baton.words.effects import Effects

FIRST = UUID(int=0), 0
"""Comes before every group, in the order of their workflows."""

_SPREAD, _UNKNOWN, _BUSY = 7, 9, 10


class Place(NamedTuple):
    """Where a look goes on. The time is the database's text: Python's has no infinity."""

    due_since: str = "-infinity"
    id: int = 0


class DueWait(NamedTuple):
    """A group whose time has come. `careful`: it is decided alone. `looks`: its deadline has not
    passed, and it asked for a look into the mailbox of its key.
    """

    group_id: int
    workflow_id: UUID
    careful: bool
    looks: bool
    due_since: str

    @property
    def place(self) -> Place:
        return Place(self.due_since, self.group_id)


class Next(NamedTuple):
    """Whether something is due now, and in how many seconds the next will be, if any."""

    due: bool
    seconds: float | None


class SpreadBatch(NamedTuple):
    """What became of one batch of an event sent by a key: the last group looked at, how many
    received it, whether somebody was passed over, and whether there may be others behind.
    """

    effects: Effects
    after: tuple[UUID, int]
    received: int
    passed: bool
    more: bool


async def find_due_waits(database: Store, limit: int, after: Place) -> list[DueWait]:
    """Groups whose time has come, oldest first."""
    return [DueWait(*row) for row in await database.fetch("find_due_waits", limit, *after)]


async def rest_waits(database: Store, groups: Sequence[int]) -> set[int]:
    """Let those of these groups sleep until their deadlines whose mailboxes show nothing."""
    return {row["id"] for row in await database.fetch("rest_waits", groups)}


async def expire_groups(database: Store, groups: Sequence[int], *, notify: bool) -> Effects:
    """Decide what is due of these groups, where no one else holds the workflow, step or job."""
    return decided(await database.fetch("expire_waits", groups, notify))


async def next_wait(database: Store) -> Next:
    return Next(*(await database.fetch("next_wait"))[0])


async def find_due_deadlines(
    database: Store, limit: int, after: tuple[str, UUID]
) -> list[tuple[UUID, str]]:
    """Workflows whose deadline has passed, oldest first, each with it as the database's text."""
    rows = await database.fetch("find_due_deadlines", limit, *after)
    return [(row["workflow_id"], row["deadline"]) for row in rows]


async def next_deadline(database: Store) -> Next:
    return Next(*(await database.fetch("next_deadline"))[0])


async def find_open_events(database: Store, limit: int, after: Place) -> list[tuple[int, Place]]:
    """Events sent by a key whose sender has not finished, with their places."""
    rows = await database.fetch("find_open_events", limit, *after)
    return [(row["id"], Place(row["wake_at"], row["id"])) for row in rows]


async def next_open_event(database: Store) -> Next:
    return Next(*(await database.fetch("next_open_event"))[0])


async def read_event(database: Store, event_id: int) -> tuple[str, str] | None:
    """Name and payload of an event, as JSON text; None when it is gone."""
    rows = await database.fetch("read_event", event_id)
    return (rows[0]["name"], rows[0]["payload"]) if rows else None


async def spread_event(
    database: Store,
    event_id: int,
    after: tuple[UUID, int],
    fitting: str,
    unfit: str,
    limit: int,
    left: float | None,
    *,
    notify: bool,
) -> SpreadBatch | list[Any] | bool:
    """One batch; see baton_spread in the schema. A list: schemas that have to be asked first. True:
    somebody else has locked the event. False: it is not open any more.
    """
    args = (event_id, *after, fitting, unfit, limit, left, notify)
    rows = await database.fetch("spread_event", *args)
    for kind, group_id, data, workflow_id in rows:
        if kind == _UNKNOWN:
            return list(decode(data))
        if kind == _BUSY:
            return True
        if kind == _SPREAD:
            found = json.loads(data)
            place = after if group_id is None else (workflow_id, group_id)
            return SpreadBatch(
                decided(rows), place, found["received"], found["passed"], found["more"]
            )
    return False


async def next_waiting(
    database: Store, event_id: int, after: tuple[UUID, int]
) -> tuple[UUID, int] | None:
    """The next group past this one that waits for an event sent by a key."""
    rows = await database.fetch("next_waiting", event_id, *after)
    return (rows[0]["workflow_id"], rows[0]["group_id"]) if rows else None
