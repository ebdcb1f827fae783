"""A lock that somebody else holds keeps back what needs it, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from baton import Baton, Cancel, Step, insert_all, worker
from baton.words.events import StepCancelled, StepCompleted, StepExecuting
from support.running import running

LOCKS = {
    "its workflow": "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE",
    "its job": "SELECT FROM baton.oban_jobs WHERE id = (SELECT min(job_id) FROM"
    " baton.workflow_nodes WHERE workflow_id = $1) FOR UPDATE",
    "a dependent's job": "SELECT FROM baton.oban_jobs WHERE id = (SELECT max(job_id) FROM"
    " baton.workflow_nodes WHERE workflow_id = $1) FOR UPDATE",
    "a dependent's node": "SELECT FROM baton.workflow_nodes WHERE job_id = (SELECT max(job_id)"
    " FROM baton.workflow_nodes WHERE workflow_id = $1) FOR UPDATE",
}


@worker
async def second(step: Step) -> None:
    return None


@asynccontextmanager
async def locked(dsn: str, lock: str, workflow: Baton) -> AsyncIterator[None]:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(lock, workflow.workflow_id)
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize("fails", [False, True], ids=["completes", "fails"])
@pytest.mark.parametrize("what", LOCKS)
async def test_a_lock_holds_up_only_what_needs_it(dsn: str, what: str, fails: bool) -> None:
    go = asyncio.Event()

    @worker(name="held_up.first")
    async def first(step: Step) -> Cancel | None:
        await go.wait()
        return Cancel("no") if fails else None

    workflows = [
        Baton().add("a", first.new()).add("b", second.new(), deps=["a"]) for _ in range(12)
    ]
    victim, others = workflows[3], workflows[:3] + workflows[4:]
    outcome = "cancelled" if fails else "completed"
    # One settlement at a time, so that all their outcomes make one batch.
    async with running(dsn, settlers=1, queues={"default": 50}) as run:
        await insert_all(workflows, engine=run.engine)
        await run.events.until(StepExecuting, len(workflows))
        async with locked(dsn, LOCKS[what], victim):
            go.set()
            ends = [await run.end(workflow) for workflow in others]
            assert {end.outcome for end in ends} == {outcome}
            # What comes later is not held up either.
            await run.completed(Baton().add("later", second.new()))
            assert (await run.tables.step(victim, "a")).settled is None
        assert (await run.end(victim)).outcome == outcome
        row = await run.tables.step(victim, "a")
        assert (row.state, row.attempt) == ("cancelled" if fails else "completed", 1)
        kind = StepCancelled if fails else StepCompleted
        assert len(run.events.of(kind, step="a", workflow_id=victim.workflow_id)) == 1
