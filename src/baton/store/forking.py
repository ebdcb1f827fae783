"""Typed calls of a fork: the steps of a workflow as another one begins with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

import asyncpg

from baton.store.insertion import insert_on
from baton.store.resetting import Resetting
from baton.words.rows import Job, NewStep, NewWait, NewWorkflow
from baton.words.states import OnTimeout

GONE = "baton.gone"
"""The worker of a settled step whose job was deleted and not kept: it is never performed."""


class SourceStep(NamedTuple):
    """A step of a fork's source; `step` as it is inserted again. `kept`: its job, or a copy of it,
    is there. `grown_by` is the step that added it while it ran.
    """

    job_id: int
    state: str | None
    kept: bool
    step: NewStep
    grown_by: int | None = None


class Source(NamedTuple):
    """A workflow to be forked."""

    workflow_name: str | None
    debug: bool
    steps: list[SourceStep]


class Forking(Resetting):
    """A settlement that can also begin a workflow with the steps of another one."""

    async def read_source(self, workflow_id: UUID) -> Source:
        rows = await self._fetch("read_fork", workflow_id)
        names = {row["job_id"]: row["name"] for row in rows}
        steps = [
            SourceStep(
                row["job_id"],
                row["state"],
                row["worker"] is not None,
                _step(row, names),
                row["grown_by"],
            )
            for row in rows
        ]
        return Source(rows[0]["workflow_name"], rows[0]["debug"], steps)

    async def insert(self, workflow: NewWorkflow) -> list[Job]:
        return await insert_on(self._connection, self._sql, [workflow], notify=self._notify)

    async def take_over(self, job_ids: Sequence[int], sources: Sequence[int]) -> None:
        """Have these steps of the fork be settled as those of the source; their jobs go."""
        await self._fetch("take_over_nodes", job_ids, sources)

    async def mark_grown(self, grown: Mapping[int, int]) -> None:
        """Note which steps of the fork had added which."""
        await self._fetch("mark_grown", list(grown), list(grown.values()))

    async def forget_deleted(self, job_ids: Sequence[int]) -> None:
        """Keep no copy of these jobs, which were made up."""
        await self._fetch("forget_deleted_jobs", job_ids)

    async def begin_fork(
        self, workflow_id: UUID, source: UUID, settled: int, failed: int, skipped: int
    ) -> None:
        await self._fetch("begin_fork", workflow_id, source, settled, failed, skipped)


def _step(row: asyncpg.Record, names: dict[int, str]) -> NewStep:
    step = NewStep(
        name=row["name"],
        worker=GONE,
        args="{}",
        timeout=row["timeout"],
        deps=tuple(names[job_id] for job_id in row["deps"]),
        any_of=tuple(names[job_id] for job_id in row["any_of"] or ()),
        condition=row["condition"],
        ignore_cancelled=row["ignore_cancelled"],
        ignore_discarded=row["ignore_discarded"],
        run_when_skipped=row["run_when_skipped"],
        model=row["model"],
        wait=_wait(row),
    )
    if row["worker"] is None:
        return step
    return replace(
        step,
        worker=row["worker"],
        args=row["args"],
        queue=row["queue"],
        max_attempts=max(row["budget"], 1),
        priority=row["priority"],
        tags=tuple(row["tags"]),
    )


def _wait(row: asyncpg.Record) -> NewWait | None:
    if row["names"] is None:
        return None
    return NewWait(
        names=tuple(row["names"]),
        need=row["need"],
        timeout=row["wait_timeout"],
        until=row["until"],
        on_timeout=OnTimeout(row["on_timeout"]),
        fallback=row["fallback"],
        correlation_key=row["correlation_key"],
        prompt=row["prompt"],
        payload_schema=row["payload_schema"],
    )
