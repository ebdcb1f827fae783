"""Outcomes that wait to be settled, in batches; and those that made a batch fail."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from baton.core.errortext import describe
from baton.core.outcome import Ending, outcome
from baton.engine.executor import Execution

_log = logging.getLogger("baton")

MOST_CHARACTERS = 32_000_000
"""Text that one batch carries; PostgreSQL takes no message of a gigabyte."""


class Outbox:
    """Ended executions in the order they ended; `most` of them make a batch."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Execution] = deque()
        self._suspects: deque[list[Execution]] = deque()
        self._set_aside: list[Execution] = []

    def __len__(self) -> int:
        """How many can be taken now."""
        return len(self._waiting) + sum(map(len, self._suspects))

    @property
    def distrusts(self) -> bool:
        """Whether the next batch is part of one that the database refused."""
        return bool(self._suspects)

    @property
    def waits_for_locks(self) -> int:
        """How many were set aside."""
        return len(self._set_aside)

    @property
    def ids(self) -> list[int]:
        """The jobs whose outcomes wait here."""
        suspects = (execution for batch in self._suspects for execution in batch)
        return [execution.job.id for execution in (*self._waiting, *suspects, *self._set_aside)]

    def add(self, execution: Execution) -> None:
        self._waiting.append(execution)

    def take(self) -> list[Execution]:
        """The next batch; empty when nothing waits."""
        if self._suspects:
            return self._suspects.popleft()
        batch: list[Execution] = []
        size = 0
        while self._waiting and len(batch) < self._most:
            size += _size(self._waiting[0])
            if batch and size > MOST_CHARACTERS:
                break
            batch.append(self._waiting.popleft())
        return batch

    def put_back(self, batch: Sequence[Execution]) -> None:
        """A batch that could not be settled now goes first again."""
        self._waiting.extendleft(reversed(batch))

    def set_aside(self, blocked: Sequence[Execution]) -> None:
        """These could not be settled because somebody holds a lock; they wait for `bring_back`."""
        self._set_aside.extend(blocked)

    def bring_back(self) -> None:
        """What was set aside may be tried again, in one batch."""
        self._waiting.extend(self._set_aside)
        self._set_aside.clear()

    def try_alone(self, batch: Sequence[Execution]) -> None:
        """The database refused this batch or what was claimed with it: it is tried again without
        claims, so that no outcome is blamed for somebody else's job.
        """
        self._suspects.append(list(batch))

    def distrust(self, batch: Sequence[Execution], error: Exception) -> None:
        """The database refused what is in this batch and would refuse it at every try: it is tried
        in halves, so that the others get through. What is refused alone is discarded, and when
        even that is refused, given up; its job is left to a rescue.
        """
        middle = len(batch) // 2
        if middle:
            self._suspects.extend((list(batch[:middle]), list(batch[middle:])))
            return
        for execution in batch:
            job = execution.job
            _log.error("the outcome of job %s was refused", job.id, exc_info=error)
            if not execution.refused:
                execution.refused = True
                execution.outcome = outcome(job, Ending.NOT_STORABLE, error=describe(error))
                self._suspects.append([execution])


def _size(execution: Execution) -> int:
    ended = execution.outcome
    return 0 if ended is None else len(ended.result or "") + len(ended.error or "")
