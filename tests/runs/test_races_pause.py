"""Races of pausing and resuming: nothing starts in between, nothing is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from uuid import UUID

import pytest

from baton.errors import WorkflowFinishedError
from baton.runs.actions import Told
from baton.runs.cancel import cancel_workflow
from baton.runs.pause import pause_workflow, resume_workflow
from baton.settling.settle_failures import hold, settle_failures
from baton.store.jobs import requeue_jobs
from baton.store.store import Store
from baton.words.rows import ClaimedJob, Outcome
from baton.words.states import JobState
from races import naive
from races.arena import ROUNDS, Arena, Workflow, arena, diamond, done, heard, join, roots, settle

NOBODY = Told(None, None)


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def pause(database: Store, workflow_id: UUID) -> bool | None:
    """Whether this paused it; None when it had ended."""
    try:
        effects = await pause_workflow(database, workflow_id, NOBODY, notify=True)
    except WorkflowFinishedError:
        return None
    return bool(effects.actions)


async def resume(database: Store, workflow_id: UUID) -> bool | None:
    try:
        effects = await resume_workflow(database, workflow_id, NOBODY, notify=True)
    except WorkflowFinishedError:
        return None
    return bool(effects.actions)


async def complete(database: Store, outcome: Outcome, room: int = 0) -> list[ClaimedJob]:
    """Settle a success; returns what is handed over."""
    reply = await settle(database, [outcome], room=room, claim=False, notify=True)
    assert reply.stale == []
    return reply.jobs


async def discard(database: Store, outcome: Outcome) -> None:
    assert (await settle_failures(database, [outcome], notify=True)).accepted


async def play(ring: Arena, *workflows: Workflow) -> None:
    """Resume what is paused, and perform the rest."""
    for workflow in workflows:
        await resume(ring.left, workflow.id)
    ids = [job_id for workflow in workflows for job_id in (j.id for j in workflow.steps.values())]
    while True:
        held = [i for i, s in zip(ids, await ring.states(ids), strict=True) if s == "executing"]
        jobs = [ring.claims[job_id] for job_id in held]
        if not jobs:
            jobs = await ring.claim()
        if not jobs:
            break
        assert (await settle(ring.left, [done(job) for job in jobs], notify=True)).stale == []
    assert set(await ring.states(ids)) <= {"completed", "cancelled", "discarded"}


async def test_pause_then_settle(ring: Arena) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    race = await ring.in_order(
        partial(pause, workflow_id=workflow.id),
        partial(complete, outcome=ring.done(workflow["a"])[0], room=9),
    )
    assert race == (True, [], True)
    assert await ring.states(workflow[n] for n in ("b1", "b2", "d")) == ["suspended"] * 3
    assert (await ring.facts(workflow["b1"])).pending == 1
    assert await ring.violations() == []
    await play(ring, workflow)


async def test_settle_then_pause(ring: Arena) -> None:
    """What was handed over runs on; what was released meanwhile sleeps."""
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    race = await ring.in_order(
        partial(complete, outcome=ring.done(workflow["a"])[0], room=1),
        partial(pause, workflow_id=workflow.id),
    )
    (job,) = race.first
    assert race[1:] == (True, True)
    ring.claims[job.id] = job
    assert await ring.states(workflow[n] for n in ("b1", "b2")) == ["executing", "suspended"]
    assert await ring.violations() == []
    await play(ring, workflow)


async def test_a_mark_alone_holds_nothing_back(ring: Arena) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    await ring.in_order(
        partial(naive.pause_by_a_mark, workflow_id=workflow.id),
        partial(complete, outcome=ring.done(workflow["a"])[0], room=1),
    )
    assert await ring.states(workflow[n] for n in ("b1", "b2")) == ["executing", "available"]


@pytest.mark.parametrize("fails", [False, True])
async def test_pause_settlement_and_resume_at_once(ring: Arena, dsn: str, fails: bool) -> None:
    """In any order; afterwards the counters are right, and every workflow ends once."""
    workflows = await ring.insert(
        *(join(ignore_discarded=True) if fails else diamond() for _ in range(ROUNDS))
    )
    await ring.claim()
    ring.held.let_go()
    async with heard(dsn) as told:
        for workflow in workflows:
            settles: Awaitable[object] = (
                discard(ring.left, ring.ended(workflow["p1"], JobState.DISCARDED, error="no"))
                if fails
                else complete(ring.left, ring.done(workflow["a"])[0])
            )
            async with asyncio.timeout(20):
                paused, resumed, _ = await asyncio.gather(
                    pause(ring.right, workflow.id), resume(ring.held, workflow.id), settles
                )
            assert paused
            assert resumed in (True, False)
        assert await ring.violations() == []
        await play(ring, *workflows)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


async def test_pause_and_the_last_settlement_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            paused, _ = await ring.together(
                partial(pause, workflow_id=workflow.id),
                partial(complete, outcome=ring.done(workflow["r1"])[0]),
            )
            assert paused in (True, None)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


async def test_two_who_pause_and_two_who_resume(ring: Arena) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))
    for workflow in workflows:
        for verb in (pause, resume):
            both = partial(verb, workflow_id=workflow.id)
            assert sorted(map(bool, await ring.together(both, both))) == [False, True]
    assert await ring.violations() == []
    await play(ring, *workflows)


async def test_pause_and_a_claim_at_once(ring: Arena) -> None:
    """A job is claimed before, and runs on, or it sleeps."""
    workflows = await ring.insert(*(roots(2) for _ in range(ROUNDS)))
    for workflow in workflows:
        reply, paused = await ring.together(
            partial(settle, outcomes=(), room=1), partial(pause, workflow_id=workflow.id)
        )
        assert paused
        ring.claims.update((job.id, job) for job in reply.jobs)
        for job_id, state in zip(
            (workflow["r1"], workflow["r2"]),
            await ring.states((workflow["r1"], workflow["r2"])),
            strict=True,
        ):
            assert state == ("executing" if job_id in ring.claims else "suspended")
    assert await ring.violations() == []
    await play(ring, *workflows)


async def test_pause_and_a_retry_at_once(ring: Arena) -> None:
    """What is given back in the same moment may be claimed once more: then it is held."""
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    for workflow in workflows:
        job_id = workflow["r1"]
        again = ring.ended(job_id, JobState.AVAILABLE, attempt_change=-1)
        await ring.together(
            partial(requeue_jobs, outcomes=[again], notify=False),
            partial(pause, workflow_id=workflow.id),
        )
        for job in await ring.claim():
            assert (job.id, job.node and job.node.pending) == (job_id, 1)
            held = ring.ended(job_id, JobState.SUSPENDED)
            assert (await hold(ring.left, [held], notify=False)).accepted == {job_id}
        assert await ring.states([job_id]) == ["suspended"]
    assert await ring.violations() == []
    await play(ring, *workflows)


async def test_a_hold_and_resume_at_once(ring: Arena) -> None:
    """Whoever comes last makes the job available: it does not sleep for ever."""
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    for workflow in workflows:
        await pause(ring.left, workflow.id)
    await ring.monitor.execute("UPDATE baton.oban_jobs SET state = 'available'")
    await ring.claim()
    for workflow in workflows:
        held = ring.ended(workflow["r1"], JobState.SUSPENDED)
        await ring.together(
            partial(hold, outcomes=[held], notify=False),
            partial(resume, workflow_id=workflow.id),
        )
        assert await ring.states([workflow["r1"]]) == ["available"]
    assert await ring.violations() == []


async def test_pause_and_cancel_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            paused, cancelled = await ring.together(
                partial(pause, workflow_id=workflow.id),
                partial(cancel_workflow, workflow_id=workflow.id, reason="no", notify=True),
            )
            assert paused in (True, None)
            assert cancelled is not None
            assert len(cancelled.accepted) == 4
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []
