"""Oban's pruner deletes jobs that have ended, and knows nothing of workflows that have not."""

from __future__ import annotations

from collections import Counter

import pytest

from baton import Baton, Discard, Step, worker
from support.running import Run, running

performed: Counter[str] = Counter()
broken: set[str] = set()

PRUNER = """
WITH pruned AS (
    DELETE FROM baton.oban_jobs
    WHERE id IN (
        SELECT id FROM baton.oban_jobs
        WHERE state IN ('completed', 'cancelled', 'discarded')
        ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
)
SELECT count(*) FROM pruned
"""


@pytest.fixture(autouse=True)
def fresh() -> None:
    performed.clear()
    broken.clear()


@worker(name="pruned_jobs.works", priority=2, tags=["t"], max_attempts=3)
async def works(step: Step, *, value: int = 0) -> int | Discard:
    performed[step.name or ""] += 1
    before = (await step.results()).values()
    return Discard("broken") if step.name in broken else value + sum(before)


async def failed(run: Run) -> Baton:
    """a completed, b was discarded, c cancelled for that, all three are pruned; w waits."""
    broken.add("b")
    flow = Baton(workflow_name="chain").add("a", works.new(value=1))
    flow.add("b", works.new(value=10), deps=["a"]).add("c", works.new(value=100), deps=["b"])
    await flow.wait("w", any_of=["x"]).insert()
    await run.tables.until(flow, "c", "cancelled")
    broken.clear()
    assert await run.tables.value(PRUNER) == 3
    return flow


async def test_the_failed_part_of_a_workflow_that_waits_is_repaired(dsn: str) -> None:
    async with running(dsn) as run:
        flow = await failed(run)
        handle = flow.handle()
        retried = await handle.retry()
        assert (retried.run, retried.steps) == (1, 2)
        await handle.send_event("x")
        completion = await handle.completion(timeout=30)
        assert (completion.run, completion.outcome) == (1, "completed")
        assert performed == {"a": 1, "b": 2, "c": 1}
        assert await handle.result("c") == 111
        steps = {step.name: step for step in await handle.steps()}
        # Its attempts go on, and it was given as many as it had at first.
        assert (steps["b"].attempt, steps["b"].max_attempts) == (2, 4)
        assert (steps["a"].settled, steps["a"].job_state) == ("completed", None)
        again = "SELECT count(*) FROM baton.oban_jobs WHERE priority = 2 AND tags = '{t}'"
        assert await run.tables.value(again) == 2


async def test_what_was_pruned_twice_is_made_again_twice(dsn: str) -> None:
    async with running(dsn) as run:
        flow = await failed(run)
        handle = flow.handle()
        await handle.send_event("x")
        for number in (2, 3):
            assert (await handle.retry("all")).run == number
            await handle.send_event("x")
            assert (await handle.completion(timeout=30)).outcome == "completed"
            assert await run.tables.value(PRUNER) == 4
        assert performed == {"a": 3, "b": 3, "c": 2}
        assert await handle.result("c") == 111


async def test_a_fork_performs_what_was_kept_of_pruned_jobs(dsn: str) -> None:
    async with running(dsn) as run:
        flow = await failed(run)
        fork = await flow.handle().fork(["b", "w"], args={"b": {"value": 20}})
        await fork.send_event("x")
        assert (await fork.completion(timeout=30)).outcome == "completed"
        assert performed == {"a": 1, "b": 2, "c": 1}
        assert [await fork.result(name) for name in "abc"] == [1, 21, 121]
        assert await run.tables.value(PRUNER) == 3
        second = await fork.fork(["c"])
        assert await second.result("b") == 21
        assert (await second.completion(timeout=30)).outcome == "completed"
        assert performed == {"a": 1, "b": 2, "c": 2}
        assert len(await flow.handle().waiting_steps()) == 1
