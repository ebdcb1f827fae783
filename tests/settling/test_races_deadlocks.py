"""Races for several locks: one order for all, so nobody waits in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from baton import Baton
from baton.errors import UnavailableError
from baton.runs.cancel import cancel_workflow
from baton.settling.announce import announce_all
from baton.settling.settle_failures import hold, settle_failures
from baton.store.jobs import Settled, requeue_jobs
from baton.store.store import Store
from baton.words.effects import Effects
from baton.words.states import JobState
from races import naive
from races.arena import Arena, Workflow, arena, noop, roots, settle
from support.waiting import wait_until_blocked

ROUNDS = 200


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    """An arena in which a circle is found at once."""
    connection = await asyncpg.connect(dsn)
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" SET deadlock_timeout TO 10')
    await connection.close()
    async with arena(dsn) as made:
        yield made


def bipartite(size: int = 4) -> Baton:
    """Every child waits for every parent."""
    workflow = Baton(ignore_discarded=True)
    parents = [f"p{number}" for number in range(1, size + 1)]
    for name in parents:
        workflow.add(name, noop.new())
    for number in range(1, size + 1):
        workflow.add(f"c{number}", noop.new(), deps=parents)
    return workflow


async def fail(database: Store, ring: Arena, job_ids: list[int]) -> Effects:
    outcomes = [ring.ended(job_id, JobState.DISCARDED, error="no") for job_id in job_ids]
    return await settle_failures(database, outcomes, notify=False)


async def complete(database: Store, ring: Arena, job_ids: list[int]) -> Settled:
    return await settle(database, ring.done(*job_ids))


async def test_two_settlements_share_all_children(ring: Arena) -> None:
    workflows = await ring.insert(*(bipartite() for _ in range(ROUNDS)))
    await ring.claim()
    sides = (complete, complete), (complete, fail), (fail, fail)
    for number, workflow in enumerate(workflows):
        left, right = sides[number % 3]
        await ring.together(
            partial(left, ring=ring, job_ids=[workflow["p4"], workflow["p1"]]),
            partial(right, ring=ring, job_ids=[workflow["p3"], workflow["p2"]]),
        )
    children = [workflow[f"c{n}"] for workflow in workflows for n in range(1, 5)]
    assert set(await ring.states(children)) == {"available"}
    assert await ring.violations() == []


async def test_two_settlements_of_two_workflows_in_opposite_order(ring: Arena) -> None:
    workflows = await ring.insert(*(roots() for _ in range(2 * ROUNDS)))
    await ring.claim()
    sides = (complete, complete), (complete, fail), (fail, fail)
    for number in range(ROUNDS):
        one, other = workflows[2 * number : 2 * number + 2]
        left, right = sides[number % 3]
        await ring.together(
            partial(left, ring=ring, job_ids=[one["r1"], other["r1"]]),
            partial(right, ring=ring, job_ids=[other["r2"], one["r2"]]),
        )
    assert len(await ring.completions()) == 2 * ROUNDS
    assert await ring.violations() == []


async def test_locks_in_the_order_given_end_in_a_circle(ring: Arena) -> None:
    one, other = await ring.insert(roots(), roots())
    meet = asyncio.Barrier(2)
    with pytest.raises(UnavailableError, match="deadlock detected"):
        await ring.together(
            partial(naive.lock_in_turn, workflow_ids=[one.id, other.id], meet=meet),
            partial(naive.lock_in_turn, workflow_ids=[other.id, one.id], meet=meet),
        )


async def requeue(database: Store, ring: Arena, job_ids: list[int]) -> set[int]:
    """What takes the locks of jobs without that of their workflow: retries, snoozes, rescues."""
    outcomes = [
        ring.ended(job_id, JobState.RETRYABLE, error="no", delay=60.0) for job_id in job_ids
    ]
    return await requeue_jobs(database, outcomes, notify=False)


async def cancel(database: Store, workflow_id: UUID) -> Effects | None:
    return await cancel_workflow(database, workflow_id, "by request", notify=False)


async def failed(ring: Arena, workflow: Workflow) -> None:
    ids = [job.id for job in workflow.steps.values()]
    outcomes = [ring.ended(job_id, JobState.DISCARDED, error="no") for job_id in ids]
    await settle_failures(ring.right, outcomes, notify=False)


async def held(ring: Arena, workflow: Workflow) -> None:
    ids = [job.id for job in workflow.steps.values()]
    outcomes = [ring.ended(job_id, JobState.SUSPENDED, attempt_change=-1) for job_id in ids]
    await hold(ring.right, outcomes, notify=False)


async def cancelled(ring: Arena, workflow: Workflow) -> None:
    await cancel(ring.right, workflow.id)


@pytest.mark.parametrize(
    ("later", "ended"), [(cancelled, "cancelled"), (failed, "retryable"), (held, "retryable")]
)
@pytest.mark.parametrize("statistics", ["none", "fresh"])
async def test_jobs_are_locked_in_the_order_of_their_ids(
    ring: Arena,
    statistics: str,
    later: Callable[[Arena, Workflow], Coroutine[Any, Any, None]],
    ended: str,
) -> None:
    """The middle job is locked by a third side; meanwhile the others take what they can.

    The rows lie in the table in the opposite order, which is the order of a sequential scan.
    """
    (workflow,) = await ring.insert(roots(3))
    await ring.claim()
    for name in ("r2", "r1"):
        await ring.monitor.execute(
            "UPDATE baton.oban_jobs SET tags = tags WHERE id = $1", workflow[name]
        )
    if statistics == "fresh":
        await ring.monitor.execute("ANALYZE")
    async with ring.monitor.transaction():
        await ring.monitor.execute(
            "SELECT FROM baton.oban_jobs WHERE id = $1 FOR UPDATE", workflow["r2"]
        )
        ids = [workflow["r1"], workflow["r2"], workflow["r3"]]
        requeues = asyncio.create_task(requeue(ring.left, ring, ids))
        await wait_until_blocked(ring.left.dsn, 1)
        others = asyncio.create_task(later(ring, workflow))
        await wait_until_blocked(ring.left.dsn, 2)
    await asyncio.gather(requeues, others)
    assert await ring.states(ids) == [ended] * 3
    assert await ring.violations() == []


async def test_requeues_and_cancels_at_once(ring: Arena) -> None:
    workflows = await ring.insert(*(roots(4) for _ in range(ROUNDS // 2)))
    await ring.claim()
    for workflow in workflows:
        ids = [job.id for job in workflow.steps.values()]
        await ring.together(
            partial(requeue, ring=ring, job_ids=ids), partial(cancel, workflow_id=workflow.id)
        )
        assert await ring.states(ids) == ["cancelled"] * 4
    assert await ring.violations() == []


async def test_announcements_lock_workflows_in_the_order_of_their_ids(ring: Arena) -> None:
    """The middle workflow is locked by a third side; meanwhile the others take what they can."""
    workflows = sorted(await ring.insert(*(roots() for _ in range(3))), key=lambda w: w.id)
    await ring.claim()
    ids, jobs = [w.id for w in workflows], [w["r1"] for w in workflows]
    async with ring.monitor.transaction():
        await ring.monitor.execute(
            "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE", workflows[1].id
        )
        announces = asyncio.create_task(announce_all(ring.left, ids, notify=False))
        await wait_until_blocked(ring.left.dsn, 1)
        settles = asyncio.create_task(settle(ring.right, ring.done(*jobs)))
        await wait_until_blocked(ring.left.dsn, 2)
    _, reply = await asyncio.gather(announces, settles)
    assert reply.stale == []
    assert await ring.violations() == []
