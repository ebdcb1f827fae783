"""A paused workflow starts no further step; what runs goes on; resumed, all goes on at its time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from baton import Baton, Snooze, Step, worker
from baton.errors import CompletionTimeoutError, UnknownWorkflowError, WorkflowFinishedError
from baton.insights import Reason
from baton.words.events import ActionDone, StepExecuting, StepReleased, WaitSettled
from support.gates import Gate
from support.running import fast, running


@worker(name="pause.works")
async def works(step: Step) -> str:
    return "done"


GATE = Gate()


@worker(name="pause.opens")
async def opens(step: Step) -> None:
    await GATE.wait()


async def test_nothing_starts_and_what_runs_settles(dsn: str) -> None:
    flow = (
        Baton()
        .add("a", opens.new())
        .add("b", works.new(), deps=["a"])
        .add("later", works.new(), schedule_in=1_000)
        .add("elsewhere", works.new(), queue="nobody")
    )
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        assert await flow.handle().pause("look first", by="ann")
        assert not await flow.handle().pause()
        states = {"a": "executing", "b": "suspended", "later": "suspended"}
        assert await run.tables.states(flow) == {**states, "elsewhere": "suspended"}
        GATE.set()
        await run.tables.until(flow, "a", "completed")
        row = await run.tables.step(flow, "b")
        assert (row.state, row.pending) == ("suspended", 1)
        assert await run.tables.violations() == []
        assert await flow.handle().resume("go", by="bob")
        assert not await flow.handle().resume()
        await run.tables.until(flow, "b", "completed")
        later = await run.tables.step(flow, "later")
        assert later.state == "scheduled"
        assert later.due_in > 900
        assert (await run.tables.step(flow, "elsewhere")).state == "available"
        assert await run.tables.violations() == []
        resumed, paused = await run.engine.insights.actions(flow.workflow_id)
        assert (paused.action, paused.actor, paused.reason) == ("pause", "ann", "look first")
        assert paused.result == {"suspended": 2}
        assert (resumed.action, resumed.actor, resumed.reason) == ("resume", "bob", "go")
        assert resumed.result == {"released": 3}
        assert [e.action for e in run.events.of(ActionDone)] == ["pause", "resume"]


async def test_a_resumed_workflow_goes_on_without_a_notification(dsn: str) -> None:
    flow = Baton().add("a", works.new())
    async with fast(dsn, queues={}, notify=False) as client:
        await flow.insert(engine=client)
        await client.workflow(flow.workflow_id).pause()
    async with running(dsn, notify=False) as run:
        assert await run.engine.workflow(flow.workflow_id).resume()
        await run.tables.until(flow, "a", "completed")


class Once:
    """A step that waits until the test lets it fail, snooze or wait, and then works."""

    def __init__(self, then: str) -> None:
        self.gate = asyncio.Event()
        self.runs = 0

        @worker(name=f"pause.once.{then}", backoff=0)
        async def once(step: Step) -> str:
            self.runs += 1
            if self.runs > 1:
                return "done"
            await self.gate.wait()
            if then == "raises":
                raise ValueError("once")
            if then == "snoozes":
                raise Snooze(0)
            await step.wait_for("answer", replay_key="answer")
            raise AssertionError

        self.job: Any = once.new()


@pytest.mark.parametrize("then", ["raises", "snoozes"])
async def test_an_attempt_that_comes_back_is_held(dsn: str, then: str) -> None:
    once = Once(then)
    flow = Baton().add("a", once.job)
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        await flow.handle().pause()
        once.gate.set()
        await run.events.until(StepReleased, step="a")
        row = await run.tables.until(flow, "a", "suspended")
        assert (row.pending, once.runs, row.attempt) == (1, 1, then == "raises")
        assert await run.tables.violations() == []
        await flow.handle().resume()
        assert (await run.end(flow)).outcome == "completed"
        assert once.runs == 2


async def test_a_step_that_comes_to_wait_is_woken_and_sleeps_on(dsn: str) -> None:
    once = Once("waits")
    flow = Baton().add("a", once.job)
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        await flow.handle().pause()
        once.gate.set()
        await run.tables.until(flow, "a", "suspended")
        assert await flow.handle().send_event("answer") == "settled"
        row = await run.tables.step(flow, "a")
        assert (row.state, row.pending) == ("suspended", 1)
        assert await run.tables.violations() == []
        await flow.handle().resume()
        await run.end(flow)


async def test_waits_take_events_and_run_out_while_paused(dsn: str) -> None:
    flow = (
        Baton()
        .wait("taken", any_of=["x"])
        .wait("over", any_of=["y"], timeout=0.1)
        .add("a", works.new(), deps=["taken", "over"])
    )
    async with running(dsn) as run:
        await run.insert(flow)
        await flow.handle().pause()
        await flow.handle().send_event("x")
        await run.events.until(WaitSettled, step="taken")
        await run.events.until(WaitSettled, step="over")
        assert await run.tables.states(flow) == {
            "taken": "completed",
            "over": "completed",
            "a": "suspended",
        }
        assert await run.tables.violations() == []
        await flow.handle().resume()
        await run.end(flow)


async def test_a_wait_step_is_armed_when_all_goes_on(dsn: str) -> None:
    flow = (
        Baton()
        .add("a", opens.new())
        .wait("w", any_of=["x"], deps=["a"], timeout=1_000)
        .wait("has come", any_of=["z"], deps=["a"])
        .add("b", works.new(), deps=["has come"])
    )
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        await flow.handle().pause()
        GATE.set()
        await run.tables.until(flow, "a", "completed")
        assert len((await flow.handle().waiting_steps()).rows) == 0
        await flow.handle().send_event("z")
        assert await run.tables.violations() == []
        await flow.handle().resume()
        await run.events.until(WaitSettled, step="has come")
        (waits,) = await flow.handle().waiting_steps()
        assert waits.step == "w"
        await run.tables.until(flow, "b", "completed")
        await flow.handle().send_event("x")
        await run.end(flow)


async def test_a_failure_cascades_and_a_paused_workflow_may_end(dsn: str) -> None:
    flow = Baton().add("a", works.new()).add("b", works.new(), deps=["a"])
    async with running(dsn, queues={}) as run:
        await run.insert(flow)
        await flow.handle().pause()
        assert await flow.handle().cancel_step("a") == 2
        assert (await run.end(flow)).outcome == "cancelled"
        with pytest.raises(WorkflowFinishedError, match="nothing to pause"):
            await flow.handle().pause()
        # For a retry.
        assert await flow.handle().resume()
        with pytest.raises(WorkflowFinishedError, match="nothing to resume"):
            await flow.handle().resume()
        assert await run.tables.violations() == []


async def test_a_step_moved_by_hand_is_held(dsn: str) -> None:
    flow = Baton().add("a", works.new())
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(flow)
        await flow.handle().pause()
        await run.tables.change(flow, "a", state="'available'")
        run.engine.queue("default").resume()
        await run.events.until(StepReleased, step="a")
        assert (await run.tables.step(flow, "a")).state == "suspended"
        await flow.handle().resume()
        await run.end(flow)


async def test_who_looks_sees_it(dsn: str) -> None:
    flow = (
        Baton(workflow_name="held")
        .add("a", works.new())
        .add("b", works.new(), deps=["a"])
        .wait("w", any_of=["x"])
    )
    async with running(dsn, queues={}) as run:
        await run.insert(flow)
        await flow.handle().pause("look first")
        insights = run.engine.insights
        for row in (
            (await flow.handle().status()).workflow,
            (await insights.workflows()).rows[0],
            (await insights.workflows(workflow_name="held")).rows[0],
        ):
            assert row.paused_at is not None
            assert row.pause_reason == "look first"
        why = await insights.why(flow.workflow_id, "a")
        assert (why.reason, why.since) == (Reason.PAUSED, row.paused_at)
        assert "its workflow is paused since" in why.sentence
        assert "(look first): resume() it" in why.sentence
        for step, reason in (("b", Reason.DEPENDENCIES), ("w", Reason.EVENTS)):
            why = await insights.why(flow.workflow_id, step)
            assert why.reason is reason
            assert "; besides, it does not go on, for its workflow is paused" in why.sentence
        with pytest.raises(
            CompletionTimeoutError, match=r"is paused since .* \(look first\)"
        ) as it:
            await flow.handle().completion(timeout=0)
        assert it.value.paused_at == row.paused_at
        await flow.handle().resume()
        assert (await flow.handle().status()).workflow.paused_at is None
        assert (await insights.why(flow.workflow_id, "a")).reason is Reason.NO_ENGINE
        await flow.handle().pause()
        await flow.handle().cancel()
        assert (await flow.handle().status()).workflow.paused_at is None
        assert (await insights.workflows()).rows[0].paused_at is None
        assert (await insights.workflows("cancelled")).rows[0].paused_at is None


async def test_an_unknown_workflow(dsn: str) -> None:
    async with running(dsn, queues={}) as run:
        unknown = run.engine.workflow(Baton().workflow_id)
        with pytest.raises(UnknownWorkflowError):
            await unknown.pause()
        with pytest.raises(UnknownWorkflowError):
            await unknown.resume()


@pytest.mark.parametrize("ended", [False, True])
async def test_what_is_retried_of_a_paused_workflow_waits_too(dsn: str, ended: bool) -> None:
    flow = Baton().add("a", works.new()).wait("w", any_of=["x"], deps=["a"])
    if not ended:
        flow.add("other", works.new())
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(flow)
        await flow.handle().pause()
        run.engine.queue("default").resume()
        await flow.handle().cancel_step("a")
        assert (await flow.handle().retry()).run == 1 + ended
        assert (await run.tables.step(flow, "a")).state == "suspended"
        assert await run.tables.violations() == []
        await flow.handle().resume()
        await run.tables.until(flow, "a", "completed")
        await flow.handle().send_event("x")
        assert (await run.end(flow)).outcome == "completed"
