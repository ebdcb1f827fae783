"""The queues of one engine: limits, what runs, what is reserved for settlements under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from baton.core.jsonvalue import HIGHEST_LIMIT, encode
from baton.words.argument_errors import InvalidArgumentError
from baton.words.rows import Demand

NEVER_POLLED = -1

_MOST_SHOWN = 1_000_000_000

MOST_REFUSED = 20
"""Refused outcomes in a row, beyond its limit, with which a queue claims no more."""


class Queue:
    """One queue. `unfetched` means that it may have available jobs that no claim has found; `most`
    bounds how many are claimed at once, after a claim that took too long.
    """

    __slots__ = (
        "limit",
        "most",
        "name",
        "paused",
        "polled_wakes",
        "quarantined",
        "refused",
        "reserved",
        "running",
        "unfetched",
        "wakes",
    )

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.most: int | None = None
        self.paused = False
        self.quarantined = False
        self.running = 0
        self.reserved = 0
        self.refused = 0
        self.unfetched = True
        self.wakes = 0
        self.polled_wakes = NEVER_POLLED

    @property
    def to_poll(self) -> bool:
        """Whether no poll is under way yet for what it was woken for last."""
        return self.unfetched and self.polled_wakes != self.wakes

    @property
    def useless(self) -> bool:
        """Whether the outcomes of its last jobs were all refused: what it performs is not kept."""
        return self.refused >= self.limit + MOST_REFUSED

    @property
    def room(self) -> int:
        if self.paused or self.quarantined or (self.refused and self.useless):
            return 0
        room = max(self.limit - self.running - self.reserved, 0)
        return room if self.most is None else min(room, self.most)

    def wake(self) -> None:
        self.unfetched = True
        self.wakes += 1


class Reservation(NamedTuple):
    """Room of one queue, reserved for one settlement until it has returned."""

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
            raise InvalidArgumentError(
                "queue", name, f"a queue of this engine: {', '.join(self._queues) or 'it has none'}"
            ) from None

    def described(self) -> str:
        """The limit of each queue as JSON, 0 while it is paused."""
        queues = self._queues.values()
        return encode(
            {q.name: 0 if q.paused else min(q.limit, _MOST_SHOWN) for q in queues},
            what="the queues",
            limit=HIGHEST_LIMIT,
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._queues)

    @property
    def unfetched(self) -> bool:
        """Whether a poll for available jobs could bring some now. One poll for what woke a queue is
        enough: another beside it would find nothing, and keep the first one waiting.
        """
        return any(queue.to_poll and queue.room for queue in self._queues.values())

    def reserve(self) -> list[Reservation]:
        """Reserve room for one settlement, at most its share of each limit.

        With all of the room, one settlement would take everything in turn, and nothing would be
        performed while another settles.
        """
        return [
            _reserved(queue, min(room, -(-queue.limit // self._settlers)))
            for queue in self._queues.values()
            if (room := queue.room)
        ]

    def reopen(self, queue: Queue) -> None:
        """Poll a quarantined queue again."""
        queue.quarantined = False
        queue.wake()

    def release(self, reservations: Iterable[Reservation]) -> None:
        """Take the reservations of a settlement back: it has returned."""
        for reservation in reservations:
            reservation.queue.reserved -= reservation.room

    def fetched(self, reservations: Iterable[Reservation], claimed: Counter[str]) -> None:
        """Note which queues had fewer jobs than room, unless somebody woke them meanwhile. A queue
        that filled it may have more.
        """
        for queue, room, claim, wakes in reservations:
            if queue.most is not None:
                more = queue.most + queue.most // 4 + 1
                queue.most = more if more < queue.limit else None
            if claim and claimed[queue.name] >= room:
                queue.polled_wakes = NEVER_POLLED
            elif claim and queue.wakes == wakes:
                queue.unfetched = False

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


def _reserved(queue: Queue, room: int) -> Reservation:
    queue.reserved += room
    queue.polled_wakes = queue.wakes
    return Reservation(queue, room, queue.unfetched, queue.wakes)


def demands(
    reservations: Iterable[Reservation], left_out: Mapping[str, Sequence[int]]
) -> list[Demand]:
    """The reservations as the store takes them; `left_out` are jobs that are not claimed, by
    queue.
    """
    return [
        Demand(queue.name, room, claim, left_out.get(queue.name, ()))
        for queue, room, claim, _ in reservations
    ]
