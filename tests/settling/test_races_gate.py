"""Races for a step that was moved by hand: held, released or cancelled, never lost, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from baton.performing.perform import Performer
from baton.settling.settle_failures import hold, settle_failures
from baton.store.jobs import requeue_jobs
from baton.store.store import Store
from baton.words.config import EngineSettings
from baton.words.effects import Effects
from baton.words.rows import ClaimedJob, Outcome
from baton.words.states import JobState
from races import naive
from races.arena import Arena, Workflow, arena, join, settle

ROUNDS = 60


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def gate(ring: Arena, job: ClaimedJob) -> Outcome:
    """What the engine's own performer makes of a claimed job."""
    return await Performer(ring.right, EngineSettings()).perform(job)


async def move(ring: Arena, workflow: Workflow) -> None:
    """Make d available by hand, as a dashboard would."""
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1 AND state = 'suspended'",
        workflow["d"],
    )


async def gated(ring: Arena, *, ignore_discarded: bool = False) -> tuple[Workflow, Outcome]:
    """p1 and p2 run; d was moved by hand, claimed, and its gate says: hold."""
    (workflow,) = await ring.insert(join(2, ignore_discarded=ignore_discarded))
    await ring.claim()
    await move(ring, workflow)
    (claimed,) = await ring.claim()
    outcome = await gate(ring, claimed)
    assert (claimed.id, outcome.state) == (workflow["d"], JobState.SUSPENDED)
    return workflow, outcome


async def fail(database: Store, ring: Arena, job_id: int) -> Effects:
    outcome = ring.ended(job_id, JobState.DISCARDED, error="no")
    return await settle_failures(database, [outcome], notify=False)


async def end(ring: Arena, workflow: Workflow) -> str:
    """Let d be claimed as often as it can be; returns how it settled."""
    for _ in range(3):
        for job in await ring.claim():
            assert job.id == workflow["d"]
            outcome = await gate(ring, job)
            if outcome.state is JobState.CANCELLED:
                await settle_failures(ring.right, [outcome], notify=False)
            elif outcome.state is JobState.SUSPENDED:
                await hold(ring.right, [outcome], notify=False)
            else:
                await settle(ring.right, ring.done(job.id))
    return str((await ring.facts(workflow["d"])).settled)


async def test_settle_then_hold(ring: Arena) -> None:
    workflow, held = await gated(ring)
    race = await ring.in_order(
        partial(settle, outcomes=ring.done(workflow["p1"], workflow["p2"])),
        partial(hold, outcomes=[held], notify=False),
    )
    assert race.waited
    assert race.second.accepted == {workflow["d"]}
    assert await ring.facts(workflow["d"]) == ("available", 0, None, 0, None)
    assert await ring.violations() == []


async def test_hold_then_settle(ring: Arena) -> None:
    workflow, held = await gated(ring)
    race = await ring.in_order(
        partial(hold, outcomes=[held], notify=False),
        partial(settle, outcomes=ring.done(workflow["p1"], workflow["p2"])),
    )
    assert race.waited
    assert await ring.facts(workflow["d"]) == ("available", 0, None, 0, None)
    assert await ring.violations() == []


async def test_hold_and_settle_at_once(ring: Arena) -> None:
    for _ in range(ROUNDS):
        workflow, held = await gated(ring)
        await ring.together(
            partial(settle, outcomes=ring.done(workflow["p1"], workflow["p2"])),
            partial(hold, outcomes=[held], notify=False),
        )
        assert await end(ring, workflow) == "completed"
    assert await ring.violations() == []


async def test_a_hold_without_the_lock_strands_the_step(ring: Arena) -> None:
    workflow, _ = await gated(ring)
    race = await ring.in_order(
        partial(settle, outcomes=ring.done(workflow["p1"], workflow["p2"])),
        partial(naive.hold_without_lock, job_id=workflow["d"]),
    )
    assert not race.waited
    assert f"step {workflow['d']}: suspended for ever" in await ring.violations()


@pytest.mark.parametrize("first", ["failure", "hold"])
@pytest.mark.parametrize("late", ["completion", "failure"])
async def test_a_step_held_while_a_dependency_fails_is_cancelled(
    ring: Arena, first: str, late: str
) -> None:
    """Whichever comes first, and whether the other dependency ends before or after its gate."""
    workflow, held = await gated(ring)
    fails = partial(fail, ring=ring, job_id=workflow["p1"])
    holds = partial(hold, outcomes=[held], notify=False)
    race = await ring.in_order(*((fails, holds) if first == "failure" else (holds, fails)))
    assert race.waited
    if late == "completion":
        await settle(ring.right, ring.done(workflow["p2"]))
    assert await end(ring, workflow) == "cancelled"
    if late == "failure":
        await fail(ring.right, ring, workflow["p2"])
    assert list((await ring.completions()).values()) == ["failed"]
    assert await ring.violations() == []


@pytest.mark.parametrize("back", ["released", "rescued"])
async def test_a_step_given_back_while_a_dependency_fails_is_cancelled(
    ring: Arena, back: str
) -> None:
    """Its engine stopped or died before the gate decided: the next claim must ask the gate."""
    workflow, held = await gated(ring)
    await settle(ring.right, ring.done(workflow["p2"]))
    await fail(ring.right, ring, workflow["p1"])
    error = "lost" if back == "rescued" else None
    given_back = held._replace(state=JobState.AVAILABLE, error=error)
    assert await requeue_jobs(ring.right, [given_back], notify=False) == {workflow["d"]}
    assert await end(ring, workflow) == "cancelled"
    assert await ring.violations() == []


async def test_an_ignored_failure_does_not_strand_a_held_step(ring: Arena) -> None:
    for first in ("failure", "hold"):
        workflow, held = await gated(ring, ignore_discarded=True)
        fails = partial(fail, ring=ring, job_id=workflow["p1"])
        holds = partial(hold, outcomes=[held], notify=False)
        await ring.in_order(*((fails, holds) if first == "failure" else (holds, fails)))
        assert await ring.states([workflow["d"]]) == ["suspended"]
        await settle(ring.right, ring.done(workflow["p2"]))
        assert await end(ring, workflow) == "completed"
    assert await ring.violations() == []


@pytest.mark.parametrize("first", ["failure", "success"])
async def test_a_cascade_and_a_completing_sibling(ring: Arena, first: str) -> None:
    (workflow,) = await ring.insert(join())
    await ring.claim()
    fails = partial(fail, ring=ring, job_id=workflow["p1"])
    completes = partial(settle, outcomes=ring.done(workflow["p2"]), room=1, claim=False)
    pair = (fails, completes) if first == "failure" else (completes, fails)
    assert (await ring.in_order(*pair)).waited
    assert (await ring.facts(workflow["d"]))[:3] == ("cancelled", 0, "cancelled")
    assert await ring.violations() == []


async def test_a_cascade_a_completing_sibling_and_a_claim_of_the_moved_step(ring: Arena) -> None:
    workflows = await ring.insert(*(join() for _ in range(ROUNDS)))
    await ring.claim()
    for number, workflow in enumerate(workflows):
        await move(ring, workflow)
        fails = partial(fail, ring=ring, job_id=workflow["p1"])
        completes = partial(settle, outcomes=ring.done(workflow["p2"]), room=1)
        claims = partial(settle, outcomes=(), room=1)
        _, reply = await ring.together(fails, (completes, claims)[number % 2])
        if number % 2:
            await settle(ring.right, ring.done(workflow["p2"]))
        for job in reply.jobs:
            outcome = await gate(ring, job)
            assert outcome.state is not JobState.COMPLETED
            if outcome.state is JobState.SUSPENDED:
                await hold(ring.right, [outcome], notify=False)
            else:
                await settle_failures(ring.right, [outcome], notify=False)
        assert await end(ring, workflow) == "cancelled"
    assert len(await ring.completions()) == ROUNDS
    assert await ring.violations() == []


@pytest.mark.parametrize("first", ["cascade", "claim"])
async def test_a_cascade_and_a_claim_of_the_moved_step(ring: Arena, first: str) -> None:
    (workflow,) = await ring.insert(join())
    await ring.claim()
    await move(ring, workflow)
    fails = partial(fail, ring=ring, job_id=workflow["p1"])
    claims = partial(settle, outcomes=(), room=1)
    if first == "cascade":
        race = await ring.in_order(fails, claims)
        assert (race.second.jobs, race.waited) == ([], False)
    else:
        other = await ring.in_order(claims, fails)
        assert other.waited
        (job,) = other.first.jobs
        outcome = await gate(ring, job)
        assert outcome.state is JobState.CANCELLED
        await settle_failures(ring.right, [outcome], notify=False)
    await settle(ring.right, ring.done(workflow["p2"]))
    assert (await ring.facts(workflow["d"]))[0] == "cancelled"
    assert await ring.violations() == []
