"""Races for the end of a workflow: one completion, one notification, whoever settles last."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from uuid import UUID

import pytest

from baton.settling.settle_failures import settle_failures
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.states import JobState
from races import naive
from races.arena import Arena, arena, heard, roots, settle

ROUNDS = 100


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def succeed(database: Store, outcome: Outcome) -> int:
    """Settle one success; returns how many workflows that announced."""
    return len((await settle(database, [outcome], notify=True)).completions)


async def fail(database: Store, outcome: Outcome) -> int:
    return len((await settle_failures(database, [outcome], notify=True)).completions)


async def test_the_last_of_two_steps_ends_the_workflow(ring: Arena, dsn: str) -> None:
    for first, last in (("r1", "r2"), ("r2", "r1")):
        for failing in ((), ("r1",), ("r1", "r2")):
            (workflow,) = await ring.insert(roots())
            await ring.claim()
            ends = {
                name: partial(fail, outcome=ring.ended(workflow[name], JobState.DISCARDED))
                if name in failing
                else partial(succeed, outcome=ring.done(workflow[name])[0])
                for name in ("r1", "r2")
            }
            async with heard(dsn) as told:
                race = await ring.in_order(ends[first], ends[last])
            assert race == (0, 1, True)
            assert told == [str(workflow.id)]
            outcome = (await ring.completions())[workflow.id]
            assert outcome == ("failed" if failing else "completed")
    assert await ring.violations() == []


async def test_one_of_two_settlements_announces(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(roots() for _ in range(2 * ROUNDS)))
    await ring.claim()
    announced = 0
    async with heard(dsn) as told:
        for number, workflow in enumerate(workflows):
            succeeds = partial(succeed, outcome=ring.done(workflow["r1"])[0])
            other = (
                partial(fail, outcome=ring.ended(workflow["r2"], JobState.CANCELLED))
                if number % 2
                else partial(succeed, outcome=ring.done(workflow["r2"])[0])
            )
            announced += sum(await ring.together(succeeds, other))
    assert announced == 2 * ROUNDS
    assert Counter(told) == {str(workflow.id): 1 for workflow in workflows}
    assert await ring.violations() == []


async def test_without_the_lock_nobody_announces(ring: Arena, dsn: str) -> None:
    (workflow,) = await ring.insert(roots())
    await ring.claim()
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(naive.finish_without_lock, job_id=workflow["r1"]),
            partial(naive.finish_without_lock, job_id=workflow["r2"]),
        )
    assert race == (False, False, False)
    assert told == []
    assert await ring.states([workflow["r1"], workflow["r2"]]) == ["completed"] * 2


async def test_with_not_exists_both_announce(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots())
    await ring.monitor.execute("CREATE TABLE public.told (workflow_id uuid)")
    race = await ring.in_order(
        partial(naive.tell_unless_told, workflow_id=workflow.id),
        partial(naive.tell_unless_told, workflow_id=workflow.id),
    )
    assert race == (True, True, False)


async def announced(database: Store, workflow_ids: Sequence[UUID]) -> int:
    return len(await database.fetch("announce_workflows", workflow_ids, True))


async def test_two_announcements_of_the_same_workflows(ring: Arena, dsn: str) -> None:
    """`announce` takes no lock: the completion's key alone decides between two sweeps."""
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    await settle(ring.right, ring.done(*(workflow["r1"] for workflow in workflows)))
    await ring.monitor.execute("DELETE FROM baton.workflow_completions")
    ids = [workflow.id for workflow in workflows]
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(announced, workflow_ids=ids[:3]), partial(announced, workflow_ids=ids[2::-1])
        )
        assert race == (3, 0, True)
        for workflow_id in ids[3:]:
            both = partial(announced, workflow_ids=[workflow_id])
            assert sum(await ring.together(both, both)) == 1
    assert Counter(told) == {str(workflow_id): 1 for workflow_id in ids}
    assert await ring.violations() == []
