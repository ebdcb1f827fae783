"""Races of a step that is settled in its own transaction: its row is there exactly if its attempt
settled the step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from uuid import UUID

import pytest

from baton.errors import StepSettledError
from baton.runs.actions import Told
from baton.runs.cancel import cancel_step, cancel_workflow
from baton.runs.complete import complete_step
from baton.runs.pause import pause_workflow
from baton.runs.retry import asked, retry_workflow
from baton.store.jobs import requeue_jobs
from baton.store.store import Store
from baton.words.states import JobState
from races import own
from races.arena import ROUNDS, Arena, Workflow, arena, diamond, done, heard, join, settle
from races.own import settle_own
from support.effects import TABLE

NOBODY = Told(None, None)

Other = Callable[[Arena, Workflow], Callable[[Store], Awaitable[object]]]


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        await made.monitor.execute(TABLE)
        yield made


def rescued(ring: Arena, workflow: Workflow) -> Callable[[Store], Awaitable[object]]:
    again = ring.ended(workflow["a"], JobState.AVAILABLE, attempt_change=-1)
    return partial(requeue_jobs, outcomes=[again], notify=False)


def cancelled(ring: Arena, workflow: Workflow) -> Callable[[Store], Awaitable[object]]:
    return partial(cancel_workflow, workflow_id=workflow.id, reason="no", notify=True)


def step_cancelled(ring: Arena, workflow: Workflow) -> Callable[[Store], Awaitable[object]]:
    async def act(database: Store) -> object:
        try:
            return await cancel_step(database, workflow.id, "a", "no", notify=True)
        except StepSettledError as error:
            return error

    return act


def by_hand(ring: Arena, workflow: Workflow) -> Callable[[Store], Awaitable[object]]:
    async def act(database: Store) -> object:
        try:
            return await complete_step(
                database, workflow.id, "a", '{"value":"hand"}', NOBODY, notify=True
            )
        except StepSettledError as error:
            return error

    return act


def retried(ring: Arena, workflow: Workflow) -> Callable[[Store], Awaitable[object]]:
    again = asked("failed", ["a"], None, keep_memos=False, interrupt=True)
    return partial(
        retry_workflow,
        workflow_id=workflow.id,
        retry=again,
        told=NOBODY,
        notify=False,
    )


TAKING: list[Other] = [rescued, cancelled, step_cancelled, by_hand, retried]
"""What takes a running step from its attempt."""

each = pytest.mark.parametrize("other", TAKING)


async def written(ring: Arena, *job_ids: int) -> list[int]:
    """How many rows the attempts at each of these jobs left."""
    rows = await ring.monitor.fetch("SELECT who FROM public.effects")
    found = [int(row["who"]) for row in rows]
    return [found.count(job_id) for job_id in job_ids]


async def begun(ring: Arena) -> Workflow:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    return workflow


@each
async def test_it_is_taken_first(ring: Arena, other: Other) -> None:
    workflow = await begun(ring)
    race = await ring.in_order(
        other(ring, workflow), partial(settle_own, outcome=ring.done(workflow["a"])[0])
    )
    assert race.waited
    assert not race.second
    assert await written(ring, workflow["a"]) == [0]
    assert await ring.violations() == []


@each
async def test_its_commit_comes_first(ring: Arena, other: Other) -> None:
    """Whoever would take it waits, and finds it settled."""
    workflow = await begun(ring)
    race = await ring.in_order(
        partial(settle_own, outcome=ring.done(workflow["a"])[0]), other(ring, workflow)
    )
    assert race.waited
    assert race.first
    assert await written(ring, workflow["a"]) == [1]
    assert await ring.violations() == []


@each
async def test_at_once(ring: Arena, dsn: str, other: Other) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS // 4 + 1)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            held, _ = await ring.together(
                partial(settle_own, outcome=ring.done(workflow["a"])[0]), other(ring, workflow)
            )
            assert await written(ring, workflow["a"]) == [held]
        assert await ring.violations() == []
        while jobs := await ring.claim():
            await settle(ring.left, [done(job) for job in jobs], notify=True)
        assert await ring.violations() == []
    ends = await ring.monitor.fetch("SELECT workflow_id::text FROM baton.workflow_completions")
    assert sorted(told) == sorted(row["workflow_id"] for row in ends)
    assert len({row["workflow_id"] for row in ends}) == len(workflows)


async def test_with_two_commits_a_lost_claim_leaves_its_row(ring: Arena) -> None:
    workflow = await begun(ring)
    await rescued(ring, workflow)(ring.left)
    assert not await own.commit_then_settle(ring.right, ring.done(workflow["a"])[0])
    # And the attempt that follows leaves another one.
    await ring.claim()
    assert await own.commit_then_settle(ring.right, ring.done(workflow["a"])[0])
    assert await written(ring, workflow["a"]) == [2]


async def test_with_the_outcome_first_a_crash_loses_the_row(ring: Arena) -> None:
    workflow = await begun(ring)
    assert await own.settle_then_commit(ring.right, ring.done(workflow["a"])[0])
    assert await written(ring, workflow["a"]) == [0]


async def test_a_look_at_the_claim_is_no_fence(ring: Arena) -> None:
    workflow = await begun(ring)
    held = await own.look_then_commit(
        ring.right,
        ring.done(workflow["a"])[0],
        partial(rescued(ring, workflow), ring.left),
    )
    assert not held
    assert await written(ring, workflow["a"]) == [1]


async def test_two_of_one_workflow_at_once(ring: Arena) -> None:
    """The last two parents, each in its own transaction: their child is released once."""
    workflows = await ring.insert(*(join() for _ in range(ROUNDS // 4 + 1)))
    await ring.claim()
    for workflow in workflows:
        both = await ring.together(
            partial(settle_own, outcome=ring.done(workflow["p1"])[0]),
            partial(settle_own, outcome=ring.done(workflow["p2"])[0]),
        )
        assert all(both)
        assert await ring.states([workflow["d"]]) == ["available"]
        assert await written(ring, workflow["p1"], workflow["p2"]) == [1, 1]
    assert await ring.violations() == []


async def test_beside_a_batch_of_the_hot_path(ring: Arena) -> None:
    workflows = await ring.insert(*(join() for _ in range(ROUNDS // 4 + 1)))
    await ring.claim()
    for workflow in workflows:
        held, reply = await ring.together(
            partial(settle_own, outcome=ring.done(workflow["p1"])[0]),
            partial(settle, outcomes=ring.done(workflow["p2"]), notify=True),
        )
        assert (held, reply.stale) == (True, [])
        assert await ring.states([workflow["d"]]) == ["available"]
    assert await ring.violations() == []


async def test_a_pause_at_once(ring: Arena) -> None:
    """A pause takes nothing: the step settles, and what it releases waits."""
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS // 4 + 1)))
    await ring.claim()
    for workflow in workflows:
        held, _ = await ring.together(
            partial(settle_own, outcome=ring.done(workflow["a"])[0]), partial(pause, workflow.id)
        )
        assert held
        assert await written(ring, workflow["a"]) == [1]
        assert await ring.states([workflow["b1"]]) == ["suspended"]
    assert await ring.violations() == []


async def pause(workflow_id: UUID, database: Store) -> object:
    return await pause_workflow(database, workflow_id, NOBODY, notify=True)
