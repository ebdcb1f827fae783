"""Whoever is cancelled while Baton commits for them: the work is done whole, and told."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from baton import Baton, Step, worker
from baton.completion import check
from baton.runtime.loops import Loops
from baton.words.events import StepCancelled, WorkflowFinished, WorkflowInserted
from support.race import race
from support.running import running

LOCK = "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE"


@worker
async def later(step: Step) -> None:
    return None


@pytest.mark.parametrize("how", ["task.cancel", "anyio"])
@pytest.mark.parametrize("what", ["cancel", "check"])
async def test_a_cancelled_caller_hides_nothing(dsn: str, what: str, how: str) -> None:
    workflow = Baton().add("a", later.new(), schedule_in=3600)
    async with running(dsn) as run, race(dsn) as held:
        (job,) = await run.insert(workflow)
        await held.winner.execute(LOCK, workflow.workflow_id)
        scope = anyio.CancelScope()

        async def call() -> None:
            with scope:
                if what == "cancel":
                    await run.engine.workflow(workflow.workflow_id).cancel()
                else:
                    await check(job, "cancelled", engine=run.engine)

        task = await held.behind(call())
        if how == "anyio":
            scope.cancel()
        else:
            task.cancel()
        await held.rollback()
        await asyncio.wait([task])
        assert task.cancelled() is (how == "task.cancel")
        # By the time the caller goes on, everything is written and told.
        assert len(run.events.of(WorkflowFinished, workflow_id=workflow.workflow_id)) == 1
        assert len(run.events.of(StepCancelled)) == (what == "cancel")
        assert (await run.tables.step(workflow, "a")).settled == "cancelled"
        # Whoever checks writes the job's state afterwards.
        await run.tables.change(workflow, "a", state="'cancelled'")


async def test_an_insertion_of_a_cancelled_caller_is_whole(dsn: str) -> None:
    """Cut off at many moments: what was inserted is whole, and nobody waits for ever."""
    async with running(dsn) as run:
        inserted = 0
        for turns in range(60):
            workflow = Baton().add("a", later.new()).add("b", later.new(), deps=["a"])
            task = asyncio.create_task(workflow.insert(engine=run.engine))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            inserted += bool(
                await run.tables.value(
                    "SELECT count(*) FROM baton.workflows WHERE id = $1", workflow.workflow_id
                )
            )
        # Once it has begun it ends: nothing is cut off in the middle.
        assert inserted >= 58
        await run.events.until(WorkflowFinished, inserted)
        assert len(run.events.of(WorkflowInserted)) == inserted


async def test_a_loop_survives_a_cancellation_that_is_not_its_own() -> None:
    loops, calls, again = Loops("test"), 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError
        again.set()

    loops.every(0.01, "work", work)
    async with asyncio.timeout(10):
        await again.wait()
        await loops.stop()
