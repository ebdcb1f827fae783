"""A retry begins the failed part, what hangs on chosen steps, or all, anew."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from baton import Baton, Discard, Plugin, RetryMode, Step, worker
from baton.errors import (
    DeletedJobError,
    FailedDependencyError,
    InvalidArgsError,
    InvalidOptionError,
    NothingToRetryError,
    StepRunningError,
    UnknownStepError,
    UnknownWorkflowError,
)
from baton.words.events import ActionDone, WorkflowFinished
from support.running import Run, running
from support.waiting import eventually
from support.waits import until_waits

performed: Counter[str] = Counter()
broken: set[str] = set()


@pytest.fixture(autouse=True)
def fresh() -> None:
    performed.clear()
    broken.clear()


@worker(name="retry.works")
async def works(step: Step, *, value: int = 0) -> int | Discard:
    performed[step.name or ""] += 1
    return Discard("broken") if step.name in broken else value


@worker(name="retry.raises", max_attempts=2, backoff=0)
async def raises(step: Step) -> None:
    performed[step.name or ""] += 1
    if step.name in broken:
        raise ValueError("broken")


def chain() -> Baton:
    """a, b, c one after the other; b fails when it is broken."""
    flow = Baton()
    flow.add("a", works.new(value=1)).add("b", works.new(value=2), deps=["a"])
    return flow.add("c", works.new(value=3), deps=["b"])


async def failed(run: Run, flow: Baton, *names: str) -> None:
    broken.update(names)
    assert (await run.workflow(flow)).outcome == "failed"
    broken.clear()


async def test_what_failed_is_performed_again_in_the_next_run(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        handle = flow.handle()
        done = await handle.retry(by="ann", reason="fixed")
        assert (done.run, done.steps) == (2, 2)
        completion = await handle.completion()
        assert (completion.run, completion.outcome, completion.failed_steps) == (2, "completed", ())
        assert performed == {"a": 1, "b": 2, "c": 1}
        assert (await handle.completion(run=1)).failed_steps == ("b", "c")
        assert [e.run for e in await run.events.until(WorkflowFinished, 2)] == [1, 2]
        (event,) = run.events.of(ActionDone)
        assert (event.action, event.actor, event.reason, event.run) == ("retry", "ann", "fixed", 2)
        (action,) = await run.engine.insights.actions(flow.workflow_id)
        assert action.details["mode"] == "failed"
        assert action.result == {"steps": 2, "interrupted": 0, "taken_back": 0}
        first, second = await run.engine.insights.history(flow.workflow_id)
        assert {first.step, second.step} == {"b", "c"}
        (b,) = await run.engine.insights.history(flow.workflow_id, "b")
        assert (b.run, b.state, b.error, b.attempt, b.result) == (1, "discarded", "broken", 1, None)


async def test_all_steps_are_performed_again_and_their_results_are_kept_as_history(
    dsn: str,
) -> None:
    async with running(dsn) as run:
        flow = chain()
        await run.completed(flow)
        handle = flow.handle()
        with pytest.raises(NothingToRetryError, match="mode='all'"):
            await handle.retry()
        assert (await handle.retry("all", args={"a": {"value": 7}})).steps == 3
        assert (await handle.completion()).run == 2
        assert performed == {"a": 2, "b": 2, "c": 2}
        assert await handle.result("a") == 7
        (a,) = await run.engine.insights.history(flow.workflow_id, "a")
        assert (a.state, a.result) == ("completed", 1)


async def test_named_steps_and_everything_below_them(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await run.completed(flow)
        assert (await flow.handle().retry(steps=["b"])).steps == 2
        await flow.handle().completion()
        assert performed == {"a": 1, "b": 2, "c": 2}


async def test_what_ignored_a_failure_is_performed_again_only_when_asked(dsn: str) -> None:
    async with running(dsn) as run:
        for mode, times in ((RetryMode.FAILED, 1), (RetryMode.FAILED_AND_DOWNSTREAM, 2)):
            performed.clear()
            flow = Baton().add("a", works.new())
            flow.add("b", works.new(), deps=["a"], ignore_discarded=True)
            flow.add("c", works.new(), deps=["b"])
            await failed(run, flow, "a")
            await flow.handle().retry(mode)
            assert (await flow.handle().completion()).outcome == "completed"
            assert performed == {"a": 2, "b": times, "c": times}


async def test_a_failed_part_is_repaired_while_the_rest_waits(dsn: str) -> None:
    """The workflow has not ended: no new run. What was released in spite of the failure waits for
    the step again.
    """
    async with running(dsn) as run:
        flow = Baton().add("a", works.new())
        flow.add("b", works.new(), deps=["a"], ignore_discarded=True, schedule_in=3_600)
        broken.add("a")
        await flow.insert()
        await eventually(lambda: _settled(run, flow, "a"))
        assert await _state(run, flow, "b") == "scheduled"
        done = await flow.handle().retry()
        assert (done.run, done.steps) == (1, 1)
        await eventually(lambda: _settled(run, flow, "a"))
        assert (await flow.handle().retry(steps=["a"])).steps == 2
        await eventually(lambda: _settled(run, flow, "a"))
        assert performed == {"a": 3}
        await flow.handle().cancel()


async def test_what_waits_in_spite_of_a_failure_waits_for_it_again(dsn: str) -> None:
    """Its wait goes on, and its end alone does not release it."""
    async with running(dsn) as run:
        flow = Baton().add("a", works.new())
        flow.add("b", notes.new(), deps=["a"], ignore_discarded=True)
        broken.add("a")
        await flow.insert()
        await until_waits(run.tables, flow)
        assert await _node(run, flow, "b", "pending") == 1
        # So that the retried step is not performed.
        run.engine.queue("default").pause()
        await flow.handle().retry()
        assert await _node(run, flow, "b", "pending") == 2
        await flow.handle().send_event("x", 1)
        assert await _state(run, flow, "b") == "suspended"
        broken.clear()
        await flow.handle().cancel()


async def _settled(run: Run, flow: Baton, step: str) -> bool:
    return bool(await _node(run, flow, step, "state IS NOT NULL"))


async def _node(run: Run, flow: Baton, step: str, what: str) -> Any:
    return await run.tables.value(
        f"SELECT {what} FROM baton.workflow_nodes WHERE workflow_id = $1 AND name = $2",
        flow.workflow_id,
        step,
    )


async def _state(run: Run, flow: Baton, step: str) -> Any:
    return (await run.tables.step(flow, step)).state


async def test_attempts_go_on_and_the_budget_is_full(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", raises.new())
        await failed(run, flow, "a")
        assert performed["a"] == 2
        for attempts in (4, 6):
            broken.add("a")
            await flow.handle().retry()
            assert (await flow.handle().completion()).outcome == "failed"
            assert performed["a"] == attempts
            (step,) = await flow.handle().steps()
            assert (step.attempt, step.max_attempts) == (attempts, attempts)
        broken.clear()
        await flow.handle().retry()
        await flow.handle().completion()
        assert performed["a"] == 7
        assert len(await run.engine.insights.history(flow.workflow_id)) == 3


async def test_jobs_that_were_deleted_are_made_again(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        assert (await flow.handle().retry("all")).steps == 3
        assert (await flow.handle().completion()).outcome == "completed"
        assert performed == {"a": 2, "b": 2, "c": 1}


async def test_jobs_that_left_no_copy_are_told_of(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        await run.tables.execute("TRUNCATE baton.oban_jobs")
        with pytest.raises(DeletedJobError) as caught:
            await flow.handle().retry()
        assert caught.value.steps == ("b", "c")
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_step_history") == 0


@worker(name="retry.hangs")
async def hangs(step: Step) -> None:
    performed[step.name or ""] += 1
    if performed[step.name or ""] == 1:
        await asyncio.Event().wait()


async def test_a_step_that_runs_is_refused_or_interrupted(dsn: str) -> None:
    async with running(dsn):
        flow = Baton().add("a", hangs.new()).add("b", works.new(), deps=["a"])
        await flow.insert()
        await eventually(_begun)
        with pytest.raises(StepRunningError, match=r"'a'.*interrupt=True"):
            await flow.handle().retry("all")
        assert (await flow.handle().retry("all", interrupt=True)).run == 1
        assert (await flow.handle().completion()).outcome == "completed"
        assert performed == {"a": 2, "b": 1}


async def _begun() -> bool:
    return performed["a"] == 1


async def test_waits_begin_anew_and_a_dropped_event_may_be_sent_again(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().wait("w", any_of=["x"]).add("a", works.new(), deps=["w"])
        await flow.insert()
        handle = flow.handle()
        await handle.send_event("x", 1, dedupe_id="d")
        await run.end(flow)
        await handle.retry("all")
        assert len(await handle.waiting_steps()) == 1
        assert await handle.send_event("x", 2, dedupe_id="d") == "settled"
        assert (await handle.completion()).run == 2
        assert (await handle.result("w"))["events"] == {"x": 2}


def _note() -> str:
    performed["noted"] += 1
    return "noted"


@worker(name="retry.notes")
async def notes(step: Step) -> list[Any]:
    noted = await step.memo("noted", _note)
    outcome = await step.wait_for("x", replay_key="w")
    performed["a"] += 1
    if "a" in broken:
        raise ValueError("broken")
    return [noted, outcome]


@pytest.mark.parametrize("keep", [False, True])
async def test_memos_and_waits_inside_a_step(dsn: str, keep: bool) -> None:
    async with running(dsn):
        flow = Baton().add("a", notes.new(), max_attempts=1)
        broken.add("a")
        await flow.insert()
        handle = flow.handle()
        await handle.send_event("x", 1)
        assert (await handle.completion()).outcome == "failed"
        broken.clear()
        await handle.retry(keep_memos=keep)
        if not keep:
            await handle.send_event("x", 2)
        assert (await handle.completion()).outcome == "completed"
        assert performed["noted"] == (1 if keep else 2)
        assert (await handle.result("a"))[1] == (1 if keep else 2)


async def test_a_wait_that_was_not_over_when_its_step_ended_begins_anew(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", notes.new())
        await flow.insert()
        await until_waits(run.tables, flow)
        handle = flow.handle()
        await handle.cancel()
        await handle.completion()
        await handle.retry(keep_memos=True)
        await handle.send_event("x", 1)
        assert (await handle.completion()).outcome == "completed"
        assert (await handle.result("a"))[1] == 1


async def test_an_end_that_was_not_announced_is_announced_first(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        await run.tables.execute("DELETE FROM baton.workflow_completions")
        assert (await flow.handle().retry()).run == 2
        assert (await flow.handle().completion()).run == 2
        assert (await flow.handle().completion(run=1)).outcome == "failed"


async def test_what_cannot_be_retried_changes_nothing(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        handle = flow.handle()
        refused: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"mode": "none"}, InvalidOptionError, "'failed_and_downstream'"),
            ({"mode": "all", "steps": ["a"]}, InvalidOptionError, "no mode beside"),
            ({"steps": []}, InvalidOptionError, "at least one"),
            ({"steps": "a"}, InvalidOptionError, r"steps=\['a'\]"),
            ({"steps": ["z"]}, UnknownStepError, "'z'"),
            ({"steps": ["c"]}, FailedDependencyError, "name 'b' too"),
            ({"args": {"a": {"value": 1}}}, InvalidOptionError, "'a', not retried"),
            ({"args": {"z": {}}}, UnknownStepError, "'z'"),
            ({"args": {"b": {"value": "x"}}}, InvalidArgsError, "value"),
            ({"args": {"b": 1}}, InvalidOptionError, "arguments by step"),
            ({"args": [1]}, InvalidOptionError, "arguments by step"),
            ({"interrupt": 1}, InvalidOptionError, "True or False"),
            ({"by": 1}, InvalidOptionError, "by="),
        ]
        for options, error, text in refused:
            with pytest.raises(error, match=text):
                await handle.retry(**options)
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(Baton().workflow_id).retry()
        assert await run.tables.value("SELECT run FROM baton.workflows") == 1
        assert run.events.of(ActionDone) == []


async def test_a_workflow_is_pruned_with_all_its_runs(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        await flow.handle().retry()
        await flow.handle().completion()
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        plugin = Plugin(prune=True)
        for _ in range(2):
            await plugin.sweep(run.engine.database)
        for table in (
            "workflows",
            "workflow_nodes",
            "workflow_completions",
            "workflow_step_history",
            "workflow_deleted_jobs",
            "baton_actions",
        ):
            assert await run.tables.value(f"SELECT count(*) FROM baton.{table}") == 0, table


async def test_of_a_workflow_that_is_gone_the_last_completion_is_shown(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await failed(run, flow, "b")
        await flow.handle().retry()
        assert (await flow.handle().status()).run == 2
        await flow.handle().completion()
        await run.tables.execute("DELETE FROM baton.workflows")
        detail = await flow.handle().status()
        assert detail.completion is not None
        assert (detail.run, detail.completion.run, detail.completion.outcome) == (2, 2, "completed")
