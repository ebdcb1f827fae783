"""Cancelling a workflow: whatever its steps are doing, wherever they run."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from baton import Baton, Step, SyncStep, worker
from baton.errors import EngineStateError, InvalidArgumentError, UnknownWorkflowError
from baton.words.events import (
    StepCancelled,
    StepCompleted,
    StepExecuting,
    StepFenced,
    StepInterrupted,
    WorkflowCancelled,
    WorkflowFinished,
)
from support.running import Recorder, fast, running


@worker
async def works(step: Step) -> str:
    return "done"


ENDED: list[str] = []


@worker
async def waits(step: Step, *, insists: bool = False) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ENDED.append(str(step.name))
        if not insists:
            raise
    return "in spite of it"


def busy() -> Baton:
    return (
        Baton(workflow_name="busy")
        .add("done", works.new())
        .add("runs", waits.new())
        .add("insists", waits.new(insists=True))
        .add("waits", works.new(), deps=["runs", "done"])
        .add("below", works.new(), deps=["waits"], ignore_cancelled=True)
        .add("scheduled", works.new(), schedule_in=1_000)
        .add("elsewhere", works.new(), queue="nobody")
    )


CANCELLED = {
    "done": "completed",
    "runs": "cancelled",
    "insists": "cancelled",
    "waits": "cancelled",
    "below": "cancelled",
    "scheduled": "cancelled",
    "elsewhere": "cancelled",
}


async def started(events: Recorder) -> None:
    await events.until(StepCompleted, step="done")
    await events.until(StepExecuting, step="runs")
    await events.until(StepExecuting, step="insists")


async def test_every_unfinished_step_is_cancelled(dsn: str) -> None:
    ENDED.clear()
    workflow = busy()
    async with running(dsn) as run:
        await run.insert(workflow)
        await started(run.events)
        waiter = asyncio.create_task(run.end(workflow))
        assert (
            await run.engine.workflow(workflow.workflow_id).cancel("no\x00 longer\ud800 wanted")
            == 6
        )
        assert await run.tables.states(workflow) == CANCELLED
        end = await waiter
        assert end.failed_steps == tuple(list(CANCELLED)[1:])
        for name in end.failed_steps:
            row = await run.tables.step(workflow, name)
            assert (row.settled, row.stored) == ("cancelled", False)
            assert row.error == r"no\x00 longer\ud800 wanted"
        # What the running ones still say is dropped, the value as well as the interruption.
        await run.events.until(StepInterrupted, step="insists")
        await run.events.until(StepInterrupted, step="runs")
        assert sorted(ENDED) == ["insists", "runs"]
        for event in run.events.of(StepInterrupted):
            assert (event.state, event.WARNS) == ("cancelled", False)
            assert event.duration > 0
        assert not run.events.of(StepFenced)
        assert {e.step for e in run.events.of(StepCancelled)} == set(end.failed_steps)
        assert not (await run.tables.step(workflow, "insists")).stored
        assert len(run.events.of(WorkflowFinished)) == len(run.events.of(WorkflowCancelled)) == 1
        # Again, and one that has ended.
        assert await run.engine.workflow(str(workflow.workflow_id)).cancel() == 0
        assert await run.end(workflow) == end
        await run.completed(Baton().add("next", works.new()))


@pytest.mark.parametrize("notify", [True, False])
async def test_steps_that_run_on_another_engine_are_interrupted(dsn: str, notify: bool) -> None:
    ENDED.clear()
    workflow = busy()
    # Without notifications it is the regular look at lost claims that tells.
    rescue = 300.0 if notify else 0.05
    async with running(dsn, notify=notify, rescue_interval=rescue, poll_interval=0.05) as run:
        async with fast(dsn, queues={}, name="client", notify=notify) as client:
            await workflow.insert(engine=client)
            await started(run.events)
            assert await client.workflow(workflow.workflow_id).cancel() == 6
            await run.events.until(StepInterrupted, 2)
        assert sorted(ENDED) == ["insists", "runs"]
        assert (await run.tables.step(workflow, "runs")).error == "cancelled by request"


async def test_a_thread_is_left_behind(dsn: str) -> None:
    loop, leave = asyncio.get_running_loop(), asyncio.Event()

    @worker
    def blocks(step: SyncStep) -> str:
        asyncio.run_coroutine_threadsafe(leave.wait(), loop).result(20)
        return "too late"

    workflow = Baton().add("a", blocks.new())
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="a")
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 1
        await run.events.until(StepInterrupted, step="a")
        leave.set()
        assert (await run.tables.step(workflow, "a")).state == "cancelled"
        assert (await run.end(workflow)).failed_steps == ("a",)


@worker
async def objects(step: Step) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise RuntimeError("not now")


async def test_what_a_cancelled_step_raises_is_no_trouble(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = Baton().add("a", objects.new())
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="a")
        await run.engine.workflow(workflow.workflow_id).cancel()
        await run.events.until(StepInterrupted, step="a")
    assert not [line for line in caplog.records if line.levelname == "WARNING"]


async def test_a_claim_that_was_lost_otherwise_is_fenced(dsn: str) -> None:
    workflow = Baton().add("a", waits.new())
    async with running(dsn, rescue_interval=0.05) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="a")
        await run.tables.change(
            workflow, "a", state="'cancelled'", attempted_at="now() - '1 s'::interval"
        )
        await run.events.until(StepFenced, step="a")
        assert not run.events.of(StepInterrupted)
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 0


async def test_a_cancel_races_with_the_end(dsn: str) -> None:
    async with running(dsn) as run:
        for number in range(20):
            workflow = Baton().add("a", works.new()).add("b", works.new(), deps=["a"])
            await run.insert(workflow)
            for _ in range(number % 7):
                await asyncio.sleep(0)
            cancelled = await run.engine.workflow(workflow.workflow_id).cancel()
            end = await run.end(workflow)
            assert end.failed_count == cancelled
            states = await run.tables.states(workflow)
            assert list(states.values()).count("cancelled") == cancelled
        finished = [event.workflow_id for event in run.events.of(WorkflowFinished)]
        assert len(finished) == len(set(finished)) == 20


async def test_wrong_cancels(dsn: str) -> None:
    engine = fast(dsn)
    with pytest.raises(EngineStateError):
        await engine.workflow(uuid4()).cancel()
    async with running(dsn) as run:
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(uuid4()).cancel()
        with pytest.raises(InvalidArgumentError):
            await run.engine.workflow("nonsense").cancel()
        bad: Any = ValueError("why")
        with pytest.raises(InvalidArgumentError, match="reason"):
            await run.engine.workflow(uuid4()).cancel(bad)
