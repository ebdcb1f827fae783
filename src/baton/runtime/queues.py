"""The queues of one engine: limits, what runs, what is promised to settlements under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from baton.core.jsonvalue import HIGHEST_LIMIT, encode
from baton.words.errors import InvalidOptionError
from baton.words.rows import Demand

UNSEEN = -1

_MOST_TOLD = 1_000_000_000

MOST_REFUSED = 20
"""Refused outcomes in a row, beyond its limit, with which a queue claims no more."""


class Queue:
    """One queue. `hungry` means that jobs may be available that nobody has found; `most` bounds
    how many are claimed at once, after a claim that took too long.
    """

    __slots__ = (
        "hungry",
        "limit",
        "looks",
        "most",
        "name",
        "paused",
        "promised",
        "quarantined",
        "refused",
        "running",
        "wakes",
    )

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.most: int | None = None
        self.paused = False
        self.quarantined = False
        self.running = 0
        self.promised = 0
        self.refused = 0
        self.hungry = True
        self.wakes = 0
        self.looks = UNSEEN

    @property
    def unseen(self) -> bool:
        """Whether nobody looks yet for what it was woken for last."""
        return self.hungry and self.looks != self.wakes

    @property
    def useless(self) -> bool:
        """Whether the outcomes of its last jobs were all refused: what it performs is not kept."""
        return self.refused >= self.limit + MOST_REFUSED

    @property
    def room(self) -> int:
        if self.paused or self.quarantined or (self.refused and self.useless):
            return 0
        room = max(self.limit - self.running - self.promised, 0)
        return room if self.most is None else min(room, self.most)

    def wake(self) -> None:
        self.hungry = True
        self.wakes += 1


class Promise(NamedTuple):
    """Room of one queue, promised to one settlement until it is back."""

    queue: Queue
    room: int
    claim: bool
    wakes: int


class Queues:
    """All queues of one engine."""

    def __init__(self, limits: Mapping[str, int], settlers: int) -> None:
        self._queues = {name: Queue(name, limit) for name, limit in limits.items()}
        self._settlers = settlers

    def __getitem__(self, name: str) -> Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise InvalidOptionError(
                "queue", name, f"a queue of this engine: {', '.join(self._queues) or 'it has none'}"
            ) from None

    def described(self) -> str:
        """The limit of each queue as JSON, 0 while it is paused."""
        queues = self._queues.values()
        return encode(
            {q.name: 0 if q.paused else min(q.limit, _MOST_TOLD) for q in queues},
            what="the queues",
            limit=HIGHEST_LIMIT,
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._queues)

    @property
    def hungry(self) -> bool:
        """Whether a look for available jobs could bring some now. One look for what woke a queue is
        enough: another beside it would find nothing, and keep the first one waiting.
        """
        return any(queue.unseen and queue.room for queue in self._queues.values())

    def promise(self) -> list[Promise]:
        """Promise room to one settlement, at most its share of each limit.

        With all of the room, one settlement would take everything in turn, and nothing would be
        performed while another settles.
        """
        return [
            _promised(queue, min(room, -(-queue.limit // self._settlers)))
            for queue in self._queues.values()
            if (room := queue.room)
        ]

    def reopen(self, queue: Queue) -> None:
        """Look into a quarantined queue again."""
        queue.quarantined = False
        queue.wake()

    def release(self, promises: Iterable[Promise]) -> None:
        """Take the promises of a settlement back: it has returned."""
        for promise in promises:
            promise.queue.promised -= promise.room

    def feed(self, promises: Iterable[Promise], claimed: Counter[str]) -> None:
        """Note which queues had fewer jobs than room, unless somebody woke them meanwhile. A queue
        that filled it may have more.
        """
        for queue, room, claim, wakes in promises:
            if queue.most is not None:
                more = queue.most + queue.most // 4 + 1
                queue.most = more if more < queue.limit else None
            if claim and claimed[queue.name] >= room:
                queue.looks = UNSEEN
            elif claim and queue.wakes == wakes:
                queue.hungry = False

    def wake(self, name: str | None = None) -> None:
        """Note that a queue (None: any queue) may have available jobs. Queues not served here are
        ignored.
        """
        if name is None:
            for queue in self._queues.values():
                queue.wake()
        elif name in self._queues:
            self._queues[name].wake()

    def pause_all(self) -> None:
        for queue in self._queues.values():
            queue.paused = True


def _promised(queue: Queue, room: int) -> Promise:
    queue.promised += room
    queue.looks = queue.wakes
    return Promise(queue, room, queue.hungry, queue.wakes)


def demands(promises: Iterable[Promise], left_out: Mapping[str, Sequence[int]]) -> list[Demand]:
    """The promises as the store takes them; `left_out` are jobs that are not claimed, by queue."""
    return [
        Demand(queue.name, room, claim, left_out.get(queue.name, ()))
        for queue, room, claim, _ in promises
    ]
