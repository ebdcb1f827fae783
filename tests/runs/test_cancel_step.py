"""Cancelling one step: whatever it is doing, with what hangs on it and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from baton import Baton, Step, worker
from baton.errors import StepSettledError, UnknownStepError, UnknownWorkflowError
from baton.words.events import ActionDone, StepCancelled, StepExecuting, StepInterrupted
from support.running import fast, running


@worker(name="cancel_step.works")
async def works(step: Step) -> str:
    return "done"


@worker(name="cancel_step.hangs")
async def hangs(step: Step) -> None:
    await asyncio.Event().wait()


def graph() -> Baton:
    """Two branches; what is below `a` waits for it, `forgives` in spite of what becomes of it."""
    return (
        Baton()
        .add("a", hangs.new())
        .add("b", works.new(), deps=["a"])
        .add("c", works.new(), deps=["b"])
        .add("forgives", works.new(), deps=["b"], ignore_cancelled=True)
        .wait("other", any_of=["go"])
    )


async def test_a_running_step_and_what_it_dooms(dsn: str) -> None:
    flow = graph()
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        assert await flow.handle().cancel_step("a", "too\x00 slow", by="ann") == 3
        await run.events.until(StepInterrupted, step="a")
        await run.tables.until(flow, "forgives", "completed")
        assert await run.tables.states(flow) == {
            "a": "cancelled",
            "b": "cancelled",
            "c": "cancelled",
            "forgives": "completed",
            "other": "suspended",
        }
        assert (await run.tables.step(flow, "a")).error == r"too\x00 slow"
        assert (await run.tables.step(flow, "b")).error == "dependency 'a' was cancelled"
        assert [e.step for e in run.events.of(StepCancelled)] == ["a", "b", "c"]
        (action,) = await run.engine.insights.actions(flow.workflow_id)
        assert (action.action, action.step, action.actor) == ("cancel_step", "a", "ann")
        assert (action.reason, action.result) == (r"too\x00 slow", {"cancelled": 3})
        (event,) = run.events.of(ActionDone)
        assert (event.step, event.action, event.run) == ("a", "cancel_step", 1)
        await flow.handle().send_event("go")
        end = await run.end(flow)
        assert (end.outcome, end.failed_steps) == ("cancelled", ("a", "b", "c"))


async def test_a_step_that_runs_on_another_engine_is_interrupted(dsn: str) -> None:
    flow = graph()
    async with running(dsn) as run, fast(dsn, queues={}, name="client") as client:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        assert await client.workflow(flow.workflow_id).cancel_step("a") == 3
        await run.events.until(StepInterrupted, step="a")


async def test_what_is_released_here_is_performed_without_a_notification(dsn: str) -> None:
    flow = graph()
    async with running(dsn, notify=False) as run:
        await run.insert(flow)
        run.engine.wake("default")
        await run.events.until(StepExecuting, step="a")
        await flow.handle().cancel_step("b")
        await run.tables.until(flow, "forgives", "completed")


async def test_a_wait_step_and_a_wait_inside_a_step(dsn: str) -> None:
    @worker(name="cancel_step.asks")
    async def asks(step: Step) -> None:
        await step.wait_for("answer")

    flow = Baton().wait("w", any_of=["x"]).add("s", asks.new())
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "s", "suspended")
        assert await flow.handle().cancel_step("w") == 1
        assert await flow.handle().cancel_step("s") == 1
        assert (await run.end(flow)).failed_steps == ("w", "s")
        assert len((await flow.handle().waiting_steps()).rows) == 0


async def test_what_has_settled_stays_so(dsn: str) -> None:
    flow = Baton().add("a", works.new()).wait("w", any_of=["x"])
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "a", "completed")
        with pytest.raises(StepSettledError, match=r"retry\(steps=\['a'\]\)") as caught:
            await flow.handle().cancel_step("a")
        assert (caught.value.step, caught.value.state) == ("a", "completed")
        await flow.handle().cancel()
        with pytest.raises(StepSettledError, match="cancelled"):
            await flow.handle().cancel_step("w")
        assert [a.action for a in await run.engine.insights.actions()] == ["cancel"]


async def test_what_had_ended_by_other_hands_settles_as_it_ended(dsn: str) -> None:
    flow = graph()
    async with running(dsn, queues={}) as run:
        await run.insert(flow)
        await run.tables.change(flow, "a", state="'discarded'")
        with pytest.raises(StepSettledError) as caught:
            await flow.handle().cancel_step("a")
        assert caught.value.state == "discarded"
        assert (await run.tables.step(flow, "a")).settled == "discarded"
        assert (await run.tables.step(flow, "b")).settled == "cancelled"
        assert await run.engine.insights.actions() == type(await run.engine.insights.actions())(
            (), None
        )


async def test_a_step_whose_job_has_vanished_is_cancelled(dsn: str) -> None:
    flow = Baton().add("a", works.new()).add("b", works.new(), deps=["a"])
    async with running(dsn, queues={}) as run:
        await run.insert(flow)
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE worker = 'cancel_step.works'")
        # Only jobs are counted, and there is none.
        assert await flow.handle().cancel_step("a") == 0
        assert len((await run.engine.insights.actions()).rows) == 1


async def test_unknown_ones_are_named(dsn: str) -> None:
    flow = graph()
    async with running(dsn, queues={}) as run:
        await run.insert(flow)
        with pytest.raises(UnknownStepError, match="other"):
            await flow.handle().cancel_step("othr")
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(Baton().workflow_id).cancel_step("a")
