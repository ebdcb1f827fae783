"""What is more urgent runs first, also where a settlement has just released something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from baton import Baton, Step, insert_all, worker
from races.arena import Arena, arena, noop, settle
from support.running import running
from support.waiting import DEADLINE

LINKS = 6


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def chain(priority: int, links: int = LINKS, *, first: int | None = None) -> Baton:
    workflow = Baton().add("s1", noop.new(), priority=priority if first is None else first)
    for number in range(2, links + 1):
        workflow.add(f"s{number}", noop.new(), deps=[f"s{number - 1}"], priority=priority)
    return workflow


@pytest.mark.parametrize("limit", [1, 2, 4, 10])
async def test_urgent_steps_overtake_chains_that_are_under_way(dsn: str, limit: int) -> None:
    begun: list[str] = []
    opened = asyncio.Event()
    full = asyncio.Event()

    @worker(name="tests.priority")
    async def marked(step: Step, *, mark: str) -> None:
        begun.append(mark)
        if len(begun) == limit:
            full.set()
        await opened.wait()

    chains: list[Baton] = []
    for _ in range(limit):
        workflow = Baton().add("s1", marked.new(mark="low"), priority=9)
        for number in range(2, LINKS + 1):
            workflow.add(f"s{number}", marked.new(mark="low"), deps=[f"s{number - 1}"], priority=9)
        chains.append(workflow)
    urgent = [Baton().add("u", marked.new(mark="urgent")) for _ in range(3)]

    async with running(dsn, queues={"default": limit}) as run:
        await insert_all(chains, engine=run.engine)
        async with asyncio.timeout(DEADLINE):
            await full.wait()
        await insert_all(urgent, engine=run.engine)
        opened.set()
        for workflow in (*chains, *urgent):
            await run.end(workflow)

    after = begun[limit:]
    last = max(place for place, mark in enumerate(after) if mark == "urgent")
    assert after[: last + 1].count("low") <= limit
    assert len(begun) == limit * LINKS + 3


async def test_a_step_that_nothing_precedes_is_handed_over(ring: Arena) -> None:
    (low,) = await ring.insert(chain(9))
    await ring.claim()
    settled = await settle(ring.right, ring.done(low["s1"]), room=1, claim=False)
    assert [job.id for job in settled.jobs] == [low["s2"]]


@pytest.mark.parametrize(
    ("priority", "queue", "handed"),
    [(9, "default", True), (8, "default", False), (0, "default", False), (0, "other", True)],
)
async def test_it_is_handed_over_unless_its_queue_has_something_more_urgent(
    ring: Arena, priority: int, queue: str, handed: bool
) -> None:
    (low,) = await ring.insert(chain(9))
    await ring.claim()
    await ring.insert(Baton().add("u", noop.new(), priority=priority, queue=queue))
    settled = await settle(ring.right, ring.done(low["s1"]), room=1, claim=False)
    assert [job.id for job in settled.jobs] == ([low["s2"]] if handed else [])
    # What was not handed over is announced, so that somebody looks.
    assert set(settled.released) == (set() if handed else {"default"})


async def test_the_same_call_claims_in_order_instead(ring: Arena) -> None:
    (low,) = await ring.insert(chain(9))
    await ring.claim()
    (urgent,) = await ring.insert(Baton().add("u", noop.new(), priority=3))
    settled = await settle(ring.right, ring.done(low["s1"]), room=2)
    assert [job.id for job in settled.jobs] == [urgent["u"], low["s2"]]


async def test_the_default_priority_is_handed_over_whatever_lies_there(ring: Arena) -> None:
    (work,) = await ring.insert(chain(0))
    await ring.claim()
    await ring.insert(chain(0), chain(5))
    settled = await settle(ring.right, ring.done(work["s1"]), room=1, claim=False)
    assert [job.id for job in settled.jobs] == [work["s2"]]


async def test_what_nobody_can_claim_precedes_nothing(ring: Arena) -> None:
    """A job whose attempts are used up, and one whose time has not come."""
    (low,) = await ring.insert(chain(9))
    await ring.claim()
    (spent,) = await ring.insert(Baton().add("u", noop.new(), max_attempts=1))
    await ring.insert(Baton().add("u", noop.new(), schedule_in=600))
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET attempt = max_attempts WHERE id = $1", spent["u"]
    )
    settled = await settle(ring.right, ring.done(low["s1"]), room=1, claim=False)
    assert [job.id for job in settled.jobs] == [low["s2"]]


async def test_of_what_is_released_together_the_urgent_goes_first(ring: Arena) -> None:
    workflow = Baton().add("a", noop.new())
    for name, priority in (("p5", 5), ("p1", 1), ("p9", 9), ("p0", 0)):
        workflow.add(name, noop.new(), deps=["a"], priority=priority)
    (work,) = await ring.insert(workflow)
    await ring.claim()
    settled = await settle(ring.right, ring.done(work["a"]), room=2, claim=False)
    assert {job.id for job in settled.jobs} == {work["p0"], work["p1"]}
    assert await ring.states([work["p5"], work["p9"]]) == ["available", "available"]
