"""Races for a join: it is released exactly once, whoever settles its last parents when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from baton.store.jobs import Settled
from races import naive
from races.arena import Arena, Workflow, arena, join, settle

ROUNDS = 150


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def handed_over(job_id: int, *replies: Settled) -> int:
    """How often the job came back to a claimer."""
    return sum(job.id == job_id for reply in replies for job in reply.jobs)


async def claimed(ring: Arena) -> Workflow:
    (workflow,) = await ring.insert(join())
    await ring.claim()
    return workflow


async def test_the_last_parent_releases_the_join(ring: Arena) -> None:
    for room, former, last in ((0, "p1", "p2"), (0, "p2", "p1"), (1, "p1", "p2"), (1, "p2", "p1")):
        workflow = await claimed(ring)
        race = await ring.in_order(
            partial(settle, outcomes=ring.done(workflow[former]), room=room, claim=False),
            partial(settle, outcomes=ring.done(workflow[last]), room=room, claim=False),
        )
        assert race.waited
        assert handed_over(workflow["d"], race.first) == 0
        assert handed_over(workflow["d"], race.second) == room
        facts = await ring.facts(workflow["d"])
        assert facts == ("executing" if room else "available", room, None, 0, None)
    assert await ring.violations() == []


async def test_one_of_two_settlements_gets_the_join(ring: Arena) -> None:
    sizes = [2] * ROUNDS + [3] * 50 + [50] * 20
    workflows = await ring.insert(*(join(parents) for parents in sizes))
    await ring.claim()
    for workflow, parents in zip(workflows, sizes, strict=True):
        ids = [workflow[f"p{number}"] for number in range(1, parents + 1)]
        half = parents // 2
        replies = await ring.together(
            partial(settle, outcomes=ring.done(*ids[:half]), room=1),
            partial(settle, outcomes=ring.done(*ids[half:]), room=1),
        )
        assert handed_over(workflow["d"], *replies) == 1
    assert await ring.violations() == []


async def test_without_the_lock_the_join_is_stranded(ring: Arena) -> None:
    workflow = await claimed(ring)
    race = await ring.in_order(
        partial(naive.settle_without_lock, job_ids=[workflow["p1"]]),
        partial(naive.settle_without_lock, job_ids=[workflow["p2"]]),
    )
    assert (race.first, race.second, race.waited) == ([], [], False)
    assert f"step {workflow['d']}: suspended for ever" in await ring.violations()
