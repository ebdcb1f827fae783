"""Races of cancelling: what has ended stays as it ended, and the counts agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from baton.runs.cancel import cancel_workflow
from baton.settling.settle_failures import settle_failures
from baton.store.jobs import requeue_jobs, stage_jobs
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.states import JobState
from races import naive
from races.arena import Arena, arena, diamond, heard, roots, settle

ROUNDS = 100


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def cancel(database: Store, workflow_id: UUID) -> int:
    """Cancel; returns how many jobs that cancelled."""
    failures = await cancel_workflow(database, workflow_id, "by request", notify=True)
    assert failures is not None
    return len(failures.accepted)


async def complete(database: Store, outcome: Outcome, room: int = 0) -> bool:
    """Settle a success; returns whether it was accepted."""
    return (await settle(database, [outcome], room=room, notify=True)).stale == []


async def discard(database: Store, outcome: Outcome) -> bool:
    failures = await settle_failures(database, [outcome], notify=True)
    return outcome.job_id in failures.accepted


async def test_complete_then_cancel(ring: Arena, dsn: str) -> None:
    for room in (0, 2):
        (workflow,) = await ring.insert(diamond())
        await ring.claim()
        async with heard(dsn) as told:
            race = await ring.in_order(
                partial(complete, outcome=ring.done(workflow["a"])[0], room=room),
                partial(cancel, workflow_id=workflow.id),
            )
        assert race == (True, 3, True)
        assert (await ring.facts(workflow["a"]))[2:] == ("completed", 0, "1")
        assert await ring.states(workflow[n] for n in ("b1", "b2", "d")) == ["cancelled"] * 3
        assert told == [str(workflow.id)]
    assert await ring.violations() == []


async def test_cancel_then_complete(ring: Arena, dsn: str) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(cancel, workflow_id=workflow.id),
            partial(complete, outcome=ring.done(workflow["a"])[0], room=2),
        )
    assert race == (4, False, True)
    assert (await ring.facts(workflow["a"]))[2:] == ("cancelled", 0, None)
    assert told == [str(workflow.id)]
    assert await ring.violations() == []


async def test_cancel_then_fail(ring: Arena) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    lost = ring.ended(workflow["a"], JobState.DISCARDED, error="no")
    race = await ring.in_order(
        partial(cancel, workflow_id=workflow.id), partial(discard, outcome=lost)
    )
    assert race == (4, False, True)
    assert await ring.states([workflow["a"]]) == ["cancelled"]
    assert await ring.violations() == []


async def test_cancel_and_settle_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(2 * ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for number, workflow in enumerate(workflows):
            a = workflow["a"]
            settles = (
                partial(complete, outcome=ring.done(a)[0])
                if number % 2
                else partial(discard, outcome=ring.ended(a, JobState.DISCARDED, error="no"))
            )
            accepted, cancelled = await ring.together(
                settles, partial(cancel, workflow_id=workflow.id)
            )
            assert cancelled == (4 if not accepted else 3 if number % 2 else 0)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


async def test_without_the_fence_the_last_writer_wins(ring: Arena) -> None:
    for last in ("completed", "cancelled"):
        (workflow,) = await ring.insert(roots(1))
        await ring.claim()
        job_id = workflow["r1"]
        completes = partial(naive.write_by_id, outcome=ring.done(job_id)[0])
        cancels = partial(naive.write_by_id, outcome=ring.ended(job_id, JobState.CANCELLED))
        pair = (completes, cancels) if last == "cancelled" else (cancels, completes)
        await ring.in_order(*pair)
        assert await ring.states([job_id]) == [last]


async def due(ring: Arena, job_id: int) -> None:
    """Let a claimed job be retried, and be due."""
    retry = ring.ended(job_id, JobState.RETRYABLE, error="once more", delay=0.0)
    assert await requeue_jobs(ring.right, [retry], notify=False) == {job_id}


async def stage(database: Store) -> dict[str, int]:
    return await stage_jobs(database, 100, notify=False)


async def test_stage_then_cancel(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    await due(ring, workflow["r1"])
    race = await ring.in_order(stage, partial(cancel, workflow_id=workflow.id))
    assert race == ({"default": 1}, 1, True)
    assert await ring.states([workflow["r1"]]) == ["cancelled"]
    assert await ring.violations() == []


async def test_cancel_then_stage(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    await due(ring, workflow["r1"])
    race = await ring.in_order(partial(cancel, workflow_id=workflow.id), stage)
    assert race == (1, {}, False)
    assert await ring.states([workflow["r1"]]) == ["cancelled"]
    assert await ring.violations() == []


async def test_staging_by_id_revives_what_was_cancelled(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    await due(ring, workflow["r1"])
    await ring.in_order(partial(cancel, workflow_id=workflow.id), naive.stage_by_id)
    assert await ring.states([workflow["r1"]]) == ["available"]


async def test_cancel_and_stage_at_once(ring: Arena) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    for workflow in workflows:
        await due(ring, workflow["r1"])
        _, cancelled = await ring.together(stage, partial(cancel, workflow_id=workflow.id))
        assert cancelled == 1
    assert set(await ring.states(w["r1"] for w in workflows)) == {"cancelled"}
    assert await ring.violations() == []


async def test_cancel_and_claim_at_once(ring: Arena) -> None:
    """A job may be claimed in the moment it is cancelled: then the claim is lost, and says so."""
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    for workflow in workflows:
        reply, cancelled = await ring.together(
            partial(settle, outcomes=(), room=1), partial(cancel, workflow_id=workflow.id)
        )
        assert cancelled == 1
        ring.claims.update((job.id, job) for job in reply.jobs)
    held = [workflow["r1"] for workflow in workflows if workflow["r1"] in ring.claims]
    late = await settle(ring.left, ring.done(*held))
    assert sorted(job_id for job_id, _ in late.stale) == held
    assert await ring.violations() == []
