"""Races of the rescue: of two rescuers, and of an engine that gets its own job a second time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from baton import Baton, Step, Worker
from baton.store.store import Store
from baton.words.events import StepCompleted, StepFenced, StepSettled
from races.arena import DEADLINE, Arena, arena, roots
from races.rescuing import rescue
from support.running import Run, running

ROUNDS = 60


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def orphans(ring: Arena) -> list[int]:
    """Three jobs in their second attempt, of an engine that is not alive."""
    (workflow,) = await ring.insert(roots(3))
    await ring.claim()
    ids = [job.id for job in workflow.steps.values()]
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET attempt = 2 WHERE id = ANY ($1::bigint[])", ids
    )
    return ids


async def attempts(ring: Arena, job_ids: list[int]) -> list[tuple[str, int, int]]:
    """State, attempt and number of errors of each job."""
    rows = await ring.monitor.fetch(
        "SELECT state::text, attempt::integer, jsonb_array_length(to_jsonb(errors))"
        " FROM baton.oban_jobs WHERE id = ANY ($1::bigint[]) ORDER BY id",
        job_ids,
    )
    return [tuple(row) for row in rows]


async def test_two_rescuers_give_the_attempt_back_once(ring: Arena) -> None:
    """First the one that has found its orphans, but not rescued them, when the other has."""
    ids = await orphans(ring)
    await ring.in_order(rescue, rescue)
    assert await attempts(ring, ids) == [("available", 1, 1)] * 3
    for _ in range(ROUNDS):
        ids = await orphans(ring)
        await ring.together(rescue, rescue)
        assert await attempts(ring, ids) == [("available", 1, 1)] * 3
    assert await ring.violations() == []


async def test_a_rescue_without_the_fence_gives_the_attempt_back_twice(ring: Arena) -> None:
    ids = await orphans(ring)

    async def naive(database: Store) -> None:
        async with database.transaction() as connection:
            rows = await connection.fetch(
                "SELECT id FROM baton.oban_jobs WHERE state = 'executing'"
            )
            await connection.execute(
                "UPDATE baton.oban_jobs SET state = 'available', attempt = attempt - 1"
                " WHERE id = ANY ($1::bigint[])",
                [row[0] for row in rows],
            )

    race = await ring.in_order(naive, naive)
    assert race.waited
    assert await attempts(ring, ids) == [("available", 0, 0)] * 3


class Gated(Worker, name="races.gated"):
    """Each execution waits to be told to end, and returns its number."""

    executions: ClassVar[list[Execution]] = []
    changed: ClassVar[asyncio.Event]

    async def perform(self, step: Step) -> int:
        execution = Execution(len(self.executions))
        self.executions.append(execution)
        self.changed.set()
        await execution.may_end.wait()
        return execution.number


class Execution:
    def __init__(self, number: int) -> None:
        self.number = number
        self.may_end = asyncio.Event()


@pytest.fixture
def executions() -> list[Execution]:
    Gated.executions.clear()
    Gated.changed = asyncio.Event()
    return Gated.executions


async def started(count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(Gated.executions) < count:
            Gated.changed.clear()
            await Gated.changed.wait()


async def claimed_again(run: Run) -> Baton:
    """A step that its engine performs twice at once: it was rescued though the engine lived."""
    workflow = Baton().add("r", Gated())
    await run.insert(workflow)
    await started(1)
    await run.tables.change(workflow, "r", state="'available'", attempt="0")
    await run.tables.execute('NOTIFY "baton.oban_insert", \'{"queue": "default"}\'')
    await started(2)
    return workflow


@pytest.mark.parametrize("first", [0, 1])
async def test_an_engine_that_holds_both_claims(
    dsn: str, executions: list[Execution], first: int
) -> None:
    """Only the second claim counts, in either order, and both slots are free afterwards."""
    async with running(dsn, queues={"default": 2}, rescue_interval=300.0) as run:
        workflow = await claimed_again(run)
        events = (StepFenced, StepCompleted) if first == 0 else (StepCompleted, StepFenced)
        executions[first].may_end.set()
        await run.events.until(events[0])
        executions[1 - first].may_end.set()
        await run.events.until(events[1])
        assert (await run.tables.step(workflow, "r")).result == 1

        more = Baton().add("x", Gated()).add("y", Gated())
        await run.insert(more)
        await started(4)
        for execution in executions[2:]:
            execution.may_end.set()
        await run.end(more)


async def test_only_the_lost_claim_is_interrupted(dsn: str, executions: list[Execution]) -> None:
    async with running(dsn, queues={"default": 2}, rescue_interval=0.05) as run:
        workflow = await claimed_again(run)
        await run.events.until(StepFenced)
        executions[1].may_end.set()
        await run.end(workflow)
        assert (await run.tables.step(workflow, "r")).result == 1
        assert len(executions) == 2


async def test_both_in_one_batch(dsn: str, executions: list[Execution]) -> None:
    async with running(dsn, queues={"default": 2}, rescue_interval=300.0) as run:
        workflow = await claimed_again(run)
        for execution in executions:
            execution.may_end.set()
        await run.end(workflow)
        await run.events.until(StepSettled, 2)
        assert sorted(run.events.endings("r")) == ["StepCompleted", "StepFenced"]
