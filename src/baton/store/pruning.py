"""Typed calls of pruning: what may be deleted, and its deletion, in bounded portions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from baton.store.store import Store
from baton.store.sweeping import START
from baton.words.states import JobState


class Prunable(NamedTuple):
    """Workflows whose jobs are gone, with their numbers of steps; where the next look begins."""

    workflows: list[tuple[UUID, int]]
    after: UUID


class Pruned(NamedTuple):
    """Rows deleted, by table."""

    workflow_nodes: int = 0
    workflows: int = 0
    workflow_completions: int = 0
    workflow_step_stats: int = 0
    workflow_debug_logs: int = 0
    workflow_wait_groups: int = 0
    workflow_wait_members: int = 0
    workflow_memos: int = 0
    workflow_events: int = 0
    workflow_step_history: int = 0
    workflow_deleted_jobs: int = 0
    baton_actions: int = 0
    oban_jobs: int = 0

    @property
    def most(self) -> int:
        """Rows deleted of the table that lost most."""
        return max(self)

    def plus(self, other: Pruned) -> Pruned:
        return Pruned(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Place(NamedTuple):
    """Where the look at ended jobs of one state has come to."""

    at: datetime = datetime.min  # noqa: DTZ901 as the table has it
    id: int = 0


BEGINNING = Place(datetime.min.replace(tzinfo=UTC))
"""Where the look at events begins."""


class LogPlace(NamedTuple):
    """Where the look at old debug logs has come to."""

    at: datetime = datetime.min.replace(tzinfo=UTC)
    id: UUID = START


FIRST_LOG = LogPlace()


class Loose(NamedTuple):
    """Where the look at what jobs outside workflows recorded, and captured, has come to."""

    stats: UUID = START
    logs: UUID = START


async def find_prunable(database: Store, after: UUID, limit: int) -> Prunable:
    """Of the next `limit` announced workflows, those whose job rows are all gone."""
    (row,) = await database.fetch("find_prunable", after, limit)
    workflows = list(zip(row["prunable"], row["steps"], strict=True))
    return Prunable(workflows, row["last"] if row["looked_at"] == limit else START)


async def prune_workflows(database: Store, workflow_ids: Sequence[UUID], limit: int) -> Pruned:
    """Delete what belongs to these workflows, at most `limit` rows of a table; and the workflows
    that nothing is left of. Those that somebody works on are passed by.
    """
    async with database.transaction() as connection:
        locked = await connection.fetch(database.sql("lock_prunable"), workflow_ids)
        ids = [row["id"] for row in locked]
        # Twice: a group goes after its members.
        waits = Pruned()
        for _ in range(2):
            (row,) = await connection.fetch(database.sql("prune_waits"), ids, limit - waits.most)
            waits = waits.plus(Pruned(**row))
        (rows,) = await connection.fetch(database.sql("prune_rows"), ids, limit)
        (row,) = await connection.fetch(database.sql("prune_workflows"), ids)
        return Pruned(
            workflow_nodes=rows["workflow_nodes"],
            workflows=row["workflows"],
            workflow_completions=row["completions"],
            workflow_step_stats=rows["workflow_step_stats"],
            workflow_debug_logs=rows["workflow_debug_logs"],
            workflow_step_history=rows["workflow_step_history"],
            workflow_deleted_jobs=rows["workflow_deleted_jobs"],
            baton_actions=rows["baton_actions"],
        ).plus(waits)


async def prune_debug_logs(
    database: Store, age: float, place: LogPlace, limit: int, *, delete: bool = True
) -> tuple[Pruned, LogPlace]:
    """Delete what was captured more than `age` seconds ago, at most `limit` rows. Returns where the
    next look goes on; without `delete` that is all.
    """
    (row,) = await database.fetch("prune_debug_logs", age, *place, limit, delete)
    further = LogPlace(row["at"], row["id"]) if row["looked_at"] == limit else FIRST_LOG
    return Pruned(workflow_debug_logs=row["deleted"]), further


async def prune_jobs(
    database: Store,
    ages: Mapping[JobState, float],
    places: Mapping[JobState, Place],
    limit: int,
    *,
    delete: bool = True,
) -> tuple[Pruned, dict[JobState, Place]]:
    """Delete jobs that ended longer ago than their state's age in seconds, at most `limit`; none of
    a workflow that has not ended and been announced. Returns where the next look goes on, in the
    states that have more; without `delete` that is all.
    """
    states = (JobState.COMPLETED, JobState.CANCELLED, JobState.DISCARDED)
    cursor = [value for state in states for value in places.get(state, Place())]
    rows = await database.fetch(
        "prune_jobs", *(ages.get(state) for state in states), limit, *cursor, delete
    )
    deleted = rows[0]["deleted"] if rows else 0
    further = {
        JobState(row["state"]): Place(row["at"], row["id"])
        for row in rows
        if row["looked_at"] == limit
    }
    return Pruned(oban_jobs=deleted), further


async def prune_key_events(
    database: Store, age: float, place: Place, limit: int, *, delete: bool = True
) -> tuple[Pruned, Place]:
    """Delete events that were sent by a key more than `age` seconds ago and that no wait has
    received, or none that is left; looks at `limit`. Returns where the next look goes on; without
    `delete` that is all.
    """
    async with database.transaction() as connection:
        rows = await connection.fetch(database.sql("lock_key_events"), age, *place, limit)
        # Looked at after the lock: meanwhile a wait may have received one.
        (row,) = await connection.fetch(
            database.sql("prune_key_events"), [found["id"] for found in rows if delete]
        )
    further = Place(rows[-1]["sent_at"], rows[-1]["id"]) if len(rows) == limit else BEGINNING
    return Pruned(workflow_events=row["deleted"]), further


async def prune_loose(
    database: Store, places: Loose, limit: int, *, delete: bool = True
) -> tuple[Pruned, Loose]:
    """Delete what jobs outside workflows recorded and captured, once their rows are gone; looks at
    `limit` of each. Returns where the next look goes on; without `delete` that is all.
    """
    (row,) = await database.fetch("prune_loose", *places, limit, delete)
    return (
        Pruned(workflow_step_stats=row["stats"], workflow_debug_logs=row["logs"]),
        Loose(
            row["last_stats"] if row["stats_seen"] == limit else START,
            row["last_logs"] if row["logs_seen"] == limit else START,
        ),
    )
