"""Completing a step by hand: open ones, running ones, and failed ones with what they had doomed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from baton import Baton, Cancel, Discard, Step, worker
from baton.errors import NotStorableError, StepSettledError, TooLargeError, UnknownStepError
from baton.words.events import ActionDone, StepExecuting, StepFenced, StepInterrupted
from support.running import Run, running


@worker(name="complete_step.reads")
async def reads(step: Step) -> dict[str, object]:
    return dict(await step.results())


@worker(name="complete_step.hangs")
async def hangs(step: Step) -> None:
    await asyncio.Event().wait()


@worker(name="complete_step.fails")
async def fails(step: Step) -> Discard:
    return Discard("no")


@worker(name="complete_step.asks")
async def asks(step: Step) -> None:
    await step.wait_for("answer")


async def result(flow: Baton, step: str) -> object:
    return await flow.handle().result(step)


async def test_a_running_step_is_interrupted_and_its_dependents_read_the_result(dsn: str) -> None:
    flow = Baton().add("a", hangs.new()).add("b", reads.new(), deps=["a"])
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        await flow.handle().complete_step("a", {"n": 1}, by="ann", reason="done by phone")
        assert (await run.end(flow)).outcome == "completed"
        assert await result(flow, "b") == {"a": {"n": 1}}
        await run.events.until(StepInterrupted, step="a")
        assert run.events.of(StepFenced) == []
        (action,) = await run.engine.insights.actions(flow.workflow_id)
        assert (action.action, action.step, action.actor) == ("complete_step", "a", "ann")
        assert (action.reason, action.result) == ("done by phone", {"begun_anew": 0})
        assert [e.action for e in run.events.of(ActionDone)] == ["complete_step"]


async def test_what_waits_for_events_or_for_others(dsn: str) -> None:
    flow = (
        Baton()
        .wait("w", any_of=["x"])
        .add("asks", asks.new())
        .add("c", reads.new(), deps=["w", "asks"])
        .add("later", reads.new(), schedule_in=1_000)
        .add("d", reads.new(), deps=["c", "later"])
    )
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "asks", "suspended")
        await flow.handle().complete_step("d", "early")
        await flow.handle().complete_step("w", {"event": "x"})
        await flow.handle().complete_step("asks")
        await flow.handle().complete_step("later", 4)
        assert (await run.end(flow)).outcome == "completed"
        assert await result(flow, "c") == {"w": {"event": "x"}, "asks": None}
        assert await result(flow, "d") == "early"
        assert len((await flow.handle().waiting_steps()).rows) == 0


def doomed() -> Baton:
    """`fails` dooms b, c and w; `other` dooms e, and with b also d; `forgives` ran all the same."""
    return (
        Baton()
        .add("fails", fails.new())
        .add("other", fails.new())
        .add("b", reads.new(), deps=["fails"])
        .add("c", reads.new(), deps=["b"])
        .wait("w", any_of=["x"], deps=["c"])
        .add("d", reads.new(), deps=["b", "other"])
        .add("e", reads.new(), deps=["other"])
        .add("forgives", reads.new(), deps=["b"], ignore_cancelled=True)
    )


async def test_what_a_failure_had_cancelled_is_begun_in_the_next_run(dsn: str) -> None:
    flow = doomed()
    async with running(dsn) as run:
        await run.insert(flow)
        first = await run.end(flow)
        assert first.failed_steps == ("fails", "other", "b", "c", "w", "d", "e")
        await flow.handle().complete_step("fails", "by hand")
        await run.tables.until(flow, "c", "completed")
        assert await run.tables.states(flow) == {
            "fails": "completed",
            "other": "discarded",
            "b": "completed",
            "c": "completed",
            "w": "suspended",
            "d": "cancelled",
            "e": "cancelled",
            "forgives": "completed",
        }
        await flow.handle().send_event("x")
        second = await run.end(flow)
        assert (second.run, second.failed_steps) == (2, ("other", "d", "e"))
        assert await result(flow, "b") == {"fails": "by hand"}
        # What ran in spite of the failure stays as it was.
        assert await result(flow, "forgives") == {}
        (entry,) = await run.engine.insights.history(flow.workflow_id, "fails")
        assert (entry.run, entry.state) == (1, "discarded")
        await flow.handle().complete_step("other", 2)
        third = await run.end(flow)
        assert (third.run, third.outcome) == (3, "completed")
        assert await result(flow, "d") == {"b": {"fails": "by hand"}, "other": 2}


async def test_a_workflow_that_goes_on_is_repaired_in_its_run(dsn: str) -> None:
    flow = doomed().wait("holds", any_of=["y"])
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "e", "cancelled")
        await run.tables.until(flow, "c", "cancelled")
        await flow.handle().complete_step("fails")
        await run.tables.until(flow, "c", "completed")
        await flow.handle().cancel()
        assert (await run.end(flow)).run == 1


async def test_what_somebody_cancelled_by_name_stays_so(dsn: str) -> None:
    flow = doomed()
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(flow)
        await flow.handle().cancel_step("c", "not wanted")
        run.engine.queue("default").resume()
        await run.end(flow)
        await flow.handle().complete_step("fails")
        assert (await run.end(flow)).failed_steps == ("other", "c", "w", "d", "e")


async def test_what_was_cancelled_by_name_and_retried_since_is_begun(dsn: str) -> None:
    """In the same run: the workflow had not ended."""
    flow = Baton().add("a", fails.new()).add("b", reads.new(), deps=["a"]).wait("w", any_of=["x"])
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(flow)
        await flow.handle().cancel_step("b", "not wanted")
        await flow.handle().retry(steps=["b"])
        run.engine.queue("default").resume()
        await run.tables.until(flow, "b", "cancelled")
        await flow.handle().complete_step("a", 1)
        await run.tables.until(flow, "b", "completed")
        await flow.handle().cancel()
        assert (await run.end(flow)).run == 1


async def test_what_was_cancelled_by_name_in_a_former_run_stays_so(dsn: str) -> None:
    flow = Baton().add("a", fails.new()).add("b", reads.new(), deps=["a"]).add("c", fails.new())
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(flow)
        await flow.handle().cancel_step("b", "not wanted")
        run.engine.queue("default").resume()
        await run.end(flow)
        await flow.handle().complete_step("c")
        await flow.handle().complete_step("a")
        assert (await run.end(flow)).failed_steps == ("b",)


@worker(name="complete_step.gives_up")
async def gives_up(step: Step) -> Cancel:
    return Cancel("not now")


@pytest.mark.parametrize("pruned", [False, True])
async def test_what_had_begun_and_gave_up_stays_so(dsn: str, pruned: bool) -> None:
    """It ran in spite of what failed above it, which then fails in another way."""
    flow = Baton().add("x", fails.new()).add("a", fails.new(), deps=["x"])
    flow.add("b", gives_up.new(), deps=["a"], ignore_cancelled=True)
    async with running(dsn) as run:
        await run.insert(flow)
        await run.end(flow)
        await flow.handle().complete_step("x")
        assert (await run.end(flow)).failed_steps == ("a", "b")
        if pruned:
            await deleted(run, flow, "b")
        await flow.handle().complete_step("a")
        third = await run.end(flow)
        assert (third.run, third.failed_steps) == (3, ("b",))
        newest = next(iter(await run.engine.insights.actions(flow.workflow_id)))
        assert newest.result == {"begun_anew": 0}


async def test_what_ran_before_a_retry_and_was_doomed_after_it_is_begun(dsn: str) -> None:
    flow = Baton().add("a", reads.new()).add("b", reads.new(), deps=["a"])
    async with running(dsn) as run:
        await run.insert(flow)
        await run.end(flow)
        run.engine.queue("default").pause()
        await flow.handle().retry("all")
        await flow.handle().cancel_step("a")
        assert (await run.end(flow)).outcome == "cancelled"
        run.engine.queue("default").resume()
        await flow.handle().complete_step("a", 1)
        assert (await run.end(flow)).outcome == "completed"
        assert await result(flow, "b") == {"a": 1}


async def test_in_a_paused_workflow_what_is_below_waits(dsn: str) -> None:
    flow = Baton().add("a", fails.new()).add("b", reads.new(), deps=["a"])
    flow.wait("holds", any_of=["y"])
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "b", "cancelled")
        await flow.handle().pause()
        await flow.handle().complete_step("a")
        row = await run.tables.step(flow, "b")
        assert (row.state, row.pending) == ("suspended", 1)
        assert await run.tables.violations() == []
        await flow.handle().resume()
        await run.tables.until(flow, "b", "completed")


async def deleted(run: Run, flow: Baton, step: str) -> None:
    await run.tables.execute(
        "DELETE FROM baton.oban_jobs WHERE id = (SELECT job_id FROM baton.workflow_nodes"
        " WHERE workflow_id = $1 AND name = $2)",
        flow.workflow_id,
        step,
    )


async def test_a_step_whose_job_was_deleted(dsn: str) -> None:
    flow = Baton().add("a", fails.new()).add("b", reads.new(), deps=["a"]).wait("w", any_of=["x"])
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "b", "cancelled")
        for step in ("a", "b", "w"):
            await deleted(run, flow, step)
        await flow.handle().complete_step("w", 1)
        assert (await run.end(flow)).run == 1
        await flow.handle().complete_step("a", 1)
        assert (await run.end(flow)).outcome == "completed"
        assert await result(flow, "b") == {"a": 1}


async def test_what_is_refused(dsn: str) -> None:
    flow = Baton().add("a", reads.new()).wait("w", any_of=["x"])
    async with running(dsn, result_limit=100) as run:
        await run.insert(flow)
        await run.tables.until(flow, "a", "completed")
        with pytest.raises(StepSettledError, match=r"retry\(steps=\['a'\]\)"):
            await flow.handle().complete_step("a", 1)
        with pytest.raises(NotStorableError):
            await flow.handle().complete_step("w", object())
        with pytest.raises(TooLargeError):
            await flow.handle().complete_step("w", "x" * 101)
        with pytest.raises(UnknownStepError):
            await flow.handle().complete_step("x")
        assert (await run.tables.step(flow, "w")).settled is None
        await flow.handle().complete_step("w", datetime(2026, 1, 2, tzinfo=UTC))
        await run.end(flow)
