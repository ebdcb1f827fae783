"""Outcomes that wait to be settled, in batches; and the parts of batches that were refused.

Idea: two queues. What nobody suspects leaves in batches, in the order in which it ended. What was
refused or kept back leaves in parts of its own, one at a time and without claims, so that what goes
wrong then says something about that part alone.

Invariant: an execution is in one of the two at most once, and whoever takes a batch either settles
it, puts it back in front, or hands it on as a suspect. Batches are bounded by number and by
characters; `size` makes them smaller where the database takes too long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from baton.runtime.batch_size import BatchSize
from baton.runtime.executor import Execution
from baton.store.bisecting import halves

MOST_CHARACTERS = 32_000_000
"""Text that one batch carries; PostgreSQL takes no message of a gigabyte."""


class Batch(NamedTuple):
    """What is settled together. `suspect`: it is part of what was refused or kept back, and is
    settled without claims.
    """

    executions: Sequence[Execution] = ()
    suspect: bool = False


class Outbox:
    """Ended executions in the order they ended; `most` of them make a batch."""

    def __init__(self, most: int) -> None:
        self.size = BatchSize(most)
        self._waiting: deque[Execution] = deque()
        self._suspects: deque[Sequence[Execution]] = deque()

    def __len__(self) -> int:
        """How many can be taken now."""
        return len(self._waiting) + sum(map(len, self._suspects))

    @property
    def waiting(self) -> bool:
        """Whether a batch can be taken that nobody suspects."""
        return bool(self._waiting)

    @property
    def suspects(self) -> bool:
        return bool(self._suspects)

    @property
    def ids(self) -> list[int]:
        """The jobs whose outcomes wait here."""
        suspects = (execution for batch in self._suspects for execution in batch)
        return [execution.job.id for execution in (*self._waiting, *suspects)]

    def add(self, execution: Execution) -> None:
        self._waiting.append(execution)

    def take(self) -> Batch:
        """The next batch that nobody suspects; empty when nothing waits."""
        batch: list[Execution] = []
        size = 0
        while self._waiting and len(batch) < self.size.now:
            size += _size(self._waiting[0])
            if batch and size > MOST_CHARACTERS:
                break
            batch.append(self._waiting.popleft())
        return Batch(batch)

    def take_suspect(self) -> Batch:
        """The next part of what was refused."""
        batch = self._suspects.popleft()
        most = self.size.now
        if len(batch) > most:
            self._suspects.appendleft(batch[most:])
        return Batch(batch[:most], suspect=True)

    def put_back(self, batch: Batch) -> None:
        """A batch that could not be settled now goes first again."""
        if batch.suspect:
            self._suspects.appendleft(batch.executions)
        else:
            self._waiting.extendleft(reversed(batch.executions))

    def suspect(self, executions: Sequence[Execution]) -> None:
        """These are tried by themselves, without claims, so that they and nothing else is to
        blame when they are refused.
        """
        if executions:
            self._suspects.append(executions)

    def suspect_each(self, executions: Iterable[Execution]) -> None:
        """Each of these is tried alone."""
        self._suspects.extend([execution] for execution in executions)

    def bisect(self, executions: Sequence[Execution]) -> None:
        """These were refused together: they are tried in halves, so that the others get through."""
        self._suspects.extend(halves(executions))


def _size(execution: Execution) -> int:
    ended = execution.outcome
    if ended is None:
        return 0
    size = len(ended.result or "") + len(ended.error or "")
    return size if ended.growth is None else size + sum(len(s.args) for s in ended.growth.steps)
