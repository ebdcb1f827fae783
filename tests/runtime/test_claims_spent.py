"""A job whose attempts are used up is neither claimed nor handed over, and holds up no other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from baton import Baton, Step, insert_all, worker
from races.arena import Arena, arena, noop, roots, settle
from support.running import running

JOBS = 20
SPEND = "UPDATE baton.oban_jobs SET attempt = max_attempts WHERE id = $1"


@worker(name="tests.spent")
async def works(step: Step) -> str:
    return "done"


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def test_it_is_passed_by(ring: Arena) -> None:
    """Where it comes first, and with no room left over for it."""
    (spent,) = await ring.insert(roots(1))
    (others,) = await ring.insert(roots(JOBS))
    await ring.monitor.execute(SPEND, spent["r1"])
    for room in (1, JOBS):
        jobs = (await settle(ring.right, (), room=room)).jobs
        assert spent["r1"] not in {job.id for job in jobs}
        assert len(jobs) == min(room, JOBS - 1 if room > 1 else 1)
    assert await ring.states([spent["r1"]]) == ["available"]
    assert await ring.states(job.id for job in others.steps.values()) == ["executing"] * JOBS


async def test_it_is_not_handed_over_and_spoils_no_settlement(ring: Arena) -> None:
    (workflow,) = await ring.insert(
        Baton()
        .add("a", noop.new())
        .add("spent", noop.new(), deps=["a"])
        .add("fresh", noop.new(), deps=["a"])
    )
    await ring.claim()
    await ring.monitor.execute(SPEND, workflow["spent"])
    settled = await settle(ring.right, ring.done(workflow["a"]), room=5)
    assert [job.id for job in settled.jobs] == [workflow["fresh"]]
    assert (await ring.facts(workflow["a"])).settled == "completed"
    assert await ring.states([workflow["spent"]]) == ["available"]


async def test_an_engine_runs_what_stands_behind_it(dsn: str) -> None:
    async with running(dsn, queues={"default": 2}) as run:
        run.engine.queue("default").pause()
        first = Baton().add("a", works.new())
        await first.insert(engine=run.engine)
        await run.tables.change(first, "a", attempt="max_attempts")
        others = [Baton().add("a", works.new()) for _ in range(JOBS)]
        await insert_all(others, engine=run.engine)
        run.engine.queue("default").resume()
        for workflow in others:
            assert (await run.end(workflow)).outcome == "completed"
        assert (await run.tables.step(first, "a")).state == "available"
