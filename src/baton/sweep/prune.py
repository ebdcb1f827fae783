"""Deletes what has served: jobs that ended long ago, and Baton's own rows of workflows whose jobs
are gone. By whole finished and announced workflow, in bounded portions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from baton.runtime.quarantine import Quarantine
from baton.store.bisecting import Refused, bisected
from baton.store.faults import holds_up_all, is_lock_timeout
from baton.store.pruning import (
    BEGINNING,
    FIRST_LOG,
    Loose,
    Place,
    Pruned,
    find_prunable,
    prune_debug_logs,
    prune_jobs,
    prune_key_events,
    prune_loose,
    prune_workflows,
)
from baton.store.store import Store
from baton.store.sweeping import START
from baton.words.states import JobState

PORTION = 1_000
"""Rows deleted in one transaction, about."""
MOST_LOCKED = 5
"""Locks of others that one sweep waits for."""


class Pruner:
    """Goes through what has ended, a bounded part in each sweep, and begins anew."""

    def __init__(self, limit: int, job_ages: Mapping[JobState, float]) -> None:
        self._limit = limit
        self._job_ages = job_ages
        self._after = START
        self._places: dict[JobState, Place] = {}
        self._log = FIRST_LOG
        self._event = BEGINNING
        self._loose = Loose()
        self._refused: Quarantine[str] = Quarantine("%s cannot be pruned")

    async def prune_jobs(self, database: Store) -> Pruned:
        """Delete jobs that ended longer ago than their state's age; none of a workflow that has not
        ended and been announced.
        """
        pruned = Pruned()
        # Each state by itself: where one job alone is refused, its place is its id.
        for state, age in self._job_ages.items():

            async def prune(
                portion: int, delete: bool, state: JobState = state, age: float = age
            ) -> _Portion:
                deleted, places = await prune_jobs(
                    database, {state: age}, self._places, portion, delete=delete
                )
                # What has been looked through begins anew in the next sweep.
                place = places.get(state)
                self._places.pop(state, None)
                if place is not None:
                    self._places[state] = place
                return _Portion(deleted, place is not None, f"job {place.id if place else '?'}")

            pruned = pruned.plus(await self._by_portions(prune))
        return pruned

    async def prune_debug_logs(self, database: Store, age: float) -> Pruned:
        """Delete what was captured more than `age` seconds ago, whatever its workflow does."""

        async def prune(portion: int, delete: bool) -> _Portion:
            deleted, self._log = await prune_debug_logs(
                database, age, self._log, portion, delete=delete
            )
            return _Portion(deleted, self._log != FIRST_LOG, f"debug log {self._log.id}")

        return await self._by_portions(prune)

    async def prune_key_events(self, database: Store, age: float) -> Pruned:
        """Delete events sent by a key more than `age` seconds ago that no wait needs any more."""

        async def prune(portion: int, delete: bool) -> _Portion:
            deleted, self._event = await prune_key_events(
                database, age, self._event, portion, delete=delete
            )
            return _Portion(deleted, self._event != BEGINNING, f"event {self._event.id}")

        return await self._by_portions(prune)

    async def prune_loose(self, database: Store) -> Pruned:
        """Delete what jobs outside workflows recorded and captured, once their rows are gone."""

        async def prune(portion: int, delete: bool) -> _Portion:
            deleted, self._loose = await prune_loose(database, self._loose, portion, delete=delete)
            stats, logs = self._loose
            name = f"statistics {stats} or debug log {logs}"
            return _Portion(deleted, self._loose != Loose(), name)

        return await self._by_portions(prune)

    async def _by_portions(self, prune: Callable[[int, bool], Awaitable[_Portion]]) -> Pruned:
        """Call `prune` with a portion's size until there is no more, or the limit is reached.

        A portion that is refused is made smaller; a row that is refused alone is only looked at,
        and so passed by.
        """
        pruned, room, size, more = Pruned(), self._limit, PORTION, True
        while more and room > 0:
            portion = min(size, room)
            try:
                found = await prune(portion, True)
                size = min(4 * size, PORTION)
            except Exception as error:
                if holds_up_all(error):
                    raise
                size = max(portion // 4, 1)
                if portion > 1:
                    continue
                found = await prune(1, False)
                self._refused.refuse(found.last, error)
            room -= portion
            more = found.more
            pruned = pruned.plus(found.deleted)
        return pruned

    async def prune_workflows(self, database: Store) -> Pruned:
        """Delete the rows of announced workflows that no job belongs to any more."""
        pruned, behind, locked = Pruned(), self._after, 0
        prunable, self._after = await find_prunable(database, behind, self._limit)

        async def prune(workflow_ids: Sequence[UUID]) -> Pruned:
            return await prune_workflows(database, workflow_ids, self._limit - pruned.most)

        for portion in _portions(prunable):
            try:
                async for part in bisected(portion, prune):
                    if isinstance(part, Refused):
                        locked += is_lock_timeout(part.error)
                        if locked > MOST_LOCKED:
                            raise part.error
                        self._refused.refuse(f"workflow {part.item}", part.error)
                    else:
                        pruned = pruned.plus(part.reply)
            except Exception:
                # The next sweep goes on behind it.
                self._after = portion[-1]
                raise
            if pruned.most >= self._limit:
                # What may be left of this portion is the first to be looked at again.
                self._after = behind
                break
            behind = portion[-1]
        return pruned


class _Portion(NamedTuple):
    """What was deleted of a portion, whether there is more, and the last row looked at."""

    deleted: Pruned
    more: bool
    last: str


def _portions(prunable: Sequence[tuple[UUID, int]]) -> Iterator[list[UUID]]:
    """Workflows with about PORTION steps together."""
    portion: list[UUID] = []
    steps = 0
    for workflow_id, count in prunable:
        if portion and steps + count > PORTION:
            yield portion
            portion, steps = [], 0
        portion.append(workflow_id)
        steps += count
    if portion:
        yield portion
