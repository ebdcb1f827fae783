"""What the database refuses alone is set aside, so that it does not hold up the next batches.

It goes into a quarantine: the batches that follow leave it out, it is tried again by itself, later
and later, and it is logged with its id, at most once a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from baton.store.bisecting import Refused, bisected
from baton.store.faults import sqlstate

_log = logging.getLogger("baton")

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
LOG_INTERVAL = 60.0
"""Seconds in which one id is logged at most once."""
MOST = 1_000
"""Ids that one quarantine holds: each statement that leaves them out carries them."""


T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


async def bisect(
    items: Sequence[T],
    write: Callable[[Sequence[T]], Awaitable[object]],
    refused: Callable[[T, Exception], None],
) -> None:
    """Write all items, what is refused in halves; `refused` gets what is refused alone.

    An outage is raised; the parts before it are written.
    """
    async for part in bisected(items, write):
        if isinstance(part, Refused):
            refused(part.item, part.error)


@dataclass(slots=True)
class _Case:
    delay: float
    due: float


class Quarantine(Generic[K]):
    """The ids that the database refused alone, each until it is accepted or given up.

    `doing` says in the log what is refused: "job %s cannot be staged".
    """

    def __init__(
        self, doing: str, *, clock: Callable[[], float] = monotonic, most: int | None = None
    ) -> None:
        self._doing = doing
        self._clock = clock
        self._most = MOST if most is None else most
        self._cases: dict[K, _Case] = {}
        self._logged: dict[K, float] = {}

    def __len__(self) -> int:
        return len(self._cases)

    def __contains__(self, key: object) -> bool:
        return key in self._cases

    @property
    def full(self) -> bool:
        """Whether more are refused than can be left out one by one."""
        return len(self._cases) >= self._most

    @property
    def ids(self) -> list[K]:
        """All that batches leave out."""
        return list(self._cases)

    def take_due(self) -> list[K]:
        """Those whose delay is over: to be tried again, apart from the others. Each comes once."""
        now = self._clock()
        due = [key for key, case in self._cases.items() if case.due <= now]
        for key in due:
            self._cases[key].due = now + self._cases[key].delay
        return due

    def next_due(self) -> float | None:
        """Seconds until one is due; None when there is none."""
        if not self._cases:
            return None
        return max(min(case.due for case in self._cases.values()) - self._clock(), 0.0)

    def refuse(self, key: K, error: Exception, longest: float = LONGEST_DELAY) -> None:
        """Set one aside, for twice as long as the last time, at most `longest` seconds."""
        now = self._clock()
        case = self._cases.get(key)
        delay = FIRST_DELAY if case is None else min(2 * case.delay, longest)
        if case is not None or not self.full:
            self._cases[key] = _Case(delay, now + delay)
        if now - self._logged.get(key, -LOG_INTERVAL) >= LOG_INTERVAL:
            self._logged = {k: at for k, at in self._logged.items() if now - at < LOG_INTERVAL}
            self._logged[key] = now
            _log.error(
                f"{self._doing}; it is set aside and tried again later, others go on: %s",
                key,
                _said(error),
            )

    def hurry(self) -> None:
        """All are due now: what kept one back may be over for the others too."""
        for case in self._cases.values():
            case.due = min(case.due, self._clock())

    def accept(self, keys: Iterable[K]) -> None:
        """These are no longer refused, or nobody asks for them any more."""
        for key in keys:
            self._cases.pop(key, None)


def _said(error: Exception) -> str:
    """One line: what the server said, and where, which names the trigger."""
    code, said = sqlstate(error), error.__cause__ or error
    parts = (f"{code} {said}" if code else repr(error), getattr(said, "context", None) or "")
    return ", ".join(filter(None, (" ".join(part.split()) for part in parts)))
