"""Deletes what has served: jobs that ended long ago, and Baton's own rows of workflows whose jobs
are gone. By whole finished and announced workflow, in bounded portions.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from uuid import UUID

from baton.store.database import Database
from baton.store.faults import is_content_fault
from baton.store.pruning import (
    BEGINNING,
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
from baton.store.sweeping import START
from baton.words.states import JobState

_log = logging.getLogger("baton")

PORTION = 1_000
"""Rows deleted in one transaction, about."""


class Pruner:
    """Goes through what has ended, a bounded part in each sweep, and begins anew."""

    def __init__(self, limit: int, job_ages: Mapping[JobState, float]) -> None:
        self._limit = limit
        self._job_ages = job_ages
        self._after = START
        self._places: dict[JobState, Place] = {}
        self._event = BEGINNING
        self._loose = Loose()

    async def prune_jobs(self, database: Database) -> Pruned:
        """Delete jobs that ended longer ago than their state's age; none of a workflow that has not
        ended and been announced.
        """
        pruned, looked_at = Pruned(), 0
        size, ages = PORTION, self._job_ages
        while ages and looked_at < self._limit:
            portion = min(size, self._limit - looked_at)
            try:
                deleted, self._places = await prune_jobs(database, ages, self._places, portion)
                size = min(4 * size, PORTION)
            except Exception as error:
                # A row that somebody's constraint keeps must not keep the others.
                if not is_content_fault(error):
                    raise
                size = max(portion // 4, 1)
                if portion > 1:
                    continue
                _log.warning("a job cannot be pruned: %s", error)
                deleted, self._places = await prune_jobs(
                    database, ages, self._places, portion, delete=False
                )
            looked_at += portion
            pruned = pruned.plus(deleted)
            # What has been looked through begins anew in the next sweep.
            ages = {state: age for state, age in ages.items() if state in self._places}
        return pruned

    async def prune_debug_logs(self, database: Database, age: float) -> Pruned:
        """Delete what was captured more than `age` seconds ago, whatever its workflow does."""

        async def prune(portion: int) -> tuple[Pruned, bool]:
            deleted = await prune_debug_logs(database, age, portion)
            return deleted, deleted.workflow_debug_logs == portion

        return await self._by_portions(prune)

    async def prune_key_events(self, database: Database, age: float) -> Pruned:
        """Delete events sent by a key more than `age` seconds ago that no wait needs any more."""

        async def prune(portion: int) -> tuple[Pruned, bool]:
            deleted, self._event = await prune_key_events(database, age, self._event, portion)
            return deleted, self._event != BEGINNING

        return await self._by_portions(prune)

    async def prune_loose(self, database: Database) -> Pruned:
        """Delete what jobs outside workflows recorded and captured, once their rows are gone."""

        async def prune(portion: int) -> tuple[Pruned, bool]:
            deleted, self._loose = await prune_loose(database, self._loose, portion)
            return deleted, self._loose != Loose()

        return await self._by_portions(prune)

    async def _by_portions(self, prune: Callable[[int], Awaitable[tuple[Pruned, bool]]]) -> Pruned:
        """Call `prune` with a portion's size until it tells that there is no more, or the limit is
        reached.
        """
        pruned, room, more = Pruned(), self._limit, True
        while more and room > 0:
            portion = min(PORTION, room)
            room -= portion
            deleted, more = await prune(portion)
            pruned = pruned.plus(deleted)
        return pruned

    async def prune_workflows(self, database: Database) -> Pruned:
        """Delete the rows of announced workflows that no job belongs to any more."""
        pruned, behind = Pruned(), self._after
        prunable, self._after = await find_prunable(database, behind, self._limit)
        for portion in _portions(prunable):
            room = self._limit - pruned.most
            try:
                pruned = pruned.plus(await _prune(database, portion, room))
            except Exception:
                # Somebody may hold a lock for long: the next sweep goes on behind it.
                self._after = portion[-1]
                raise
            if pruned.most >= self._limit:
                # What may be left of this portion is the first to be looked at again.
                self._after = behind
                break
            behind = portion[-1]
        return pruned


async def _prune(database: Database, workflow_ids: Sequence[UUID], limit: int) -> Pruned:
    try:
        return await prune_workflows(database, workflow_ids, limit)
    except Exception as error:
        if not is_content_fault(error):
            raise
        if len(workflow_ids) == 1:
            _log.exception("workflow %s cannot be pruned", workflow_ids[0])
            return Pruned()
    pruned = Pruned()
    for workflow_id in workflow_ids:
        pruned = pruned.plus(await _prune(database, [workflow_id], limit - pruned.most))
    return pruned


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
