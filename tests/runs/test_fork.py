"""A fork is a new workflow that begins with what another one has."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from baton import Baton, Discard, Skip, Step, send_event, worker
from baton.errors import (
    DeletedJobError,
    FailedDependencyError,
    ForkUnsettledError,
    InvalidNameError,
    InvalidOptionError,
    UnknownStepError,
    UnknownWorkflowError,
)
from baton.words.events import ActionDone, WorkflowInserted
from support.running import Run, running

performed: Counter[str] = Counter()
broken: set[str] = set()


@pytest.fixture(autouse=True)
def fresh() -> None:
    performed.clear()
    broken.clear()


@worker(name="fork.works", queue="default", priority=2, tags=["t"], max_attempts=3)
async def works(step: Step, *, value: int = 0) -> int | Discard:
    performed[step.name or ""] += 1
    before = (await step.results()).values()
    return Discard("broken") if step.name in broken else value + sum(before)


def chain() -> Baton:
    flow = Baton(workflow_name="chain").add("a", works.new(value=1))
    flow.add("b", works.new(value=10), deps=["a"], timeout=30)
    return flow.add("c", works.new(value=100), deps=["a", "b"])


async def ended(run: Run, flow: Baton, *names: str) -> None:
    broken.update(names)
    await run.workflow(flow)
    broken.clear()
    performed.clear()


async def test_what_is_not_below_the_named_steps_is_taken_over(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await ended(run, flow, "b")
        fork = await flow.handle().fork(["b"], args={"b": {"value": 20}}, by="ann", reason="again")
        assert fork.workflow_id != flow.workflow_id
        completion = await fork.completion()
        assert (completion.outcome, completion.run, completion.total_count) == ("completed", 1, 3)
        assert completion.workflow_name == "chain"
        assert performed == {"b": 1, "c": 1}
        assert [await fork.result(name) for name in "abc"] == [1, 21, 122]
        assert (await flow.handle().completion()).failed_steps == ("b", "c")
        (action,) = await run.engine.insights.actions(flow.workflow_id)
        assert (action.action, action.actor, action.reason) == ("fork", "ann", "again")
        assert action.result == {
            "workflow_id": str(fork.workflow_id),
            "steps": 2,
            "taken_over": 1,
        }
        assert (await fork.status()).forked_from == flow.workflow_id
        assert (await flow.handle().status()).forked_from is None
        assert len(run.events.of(ActionDone)) == 1
        assert len(run.events.of(WorkflowInserted)) == 2


async def test_a_fork_from_the_beginning_performs_everything(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await ended(run, flow)
        fork = await flow.handle().fork(workflow_name="other")
        assert (await fork.completion()).workflow_name == "other"
        assert performed == {"a": 1, "b": 1, "c": 1}
        steps = {step.name: step for step in (await fork.steps()).rows}
        assert {step.max_attempts for step in steps.values()} == {3}
        again = "SELECT count(*) FROM baton.oban_jobs WHERE priority = 2 AND tags = '{t}'"
        assert await run.tables.value(again) == 6


async def test_jobs_that_somebody_has_pruned(dsn: str) -> None:
    """They are taken over by their nodes, and performed by what was kept of them."""
    async with running(dsn) as run:
        flow = chain()
        await ended(run, flow)
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        fork = await flow.handle().fork(["c"])
        assert (await fork.completion()).outcome == "completed"
        assert performed == {"c": 1}
        await fork.retry("all")
        assert (await fork.completion()).run == 2
        assert performed == {"a": 1, "b": 1, "c": 2}


async def test_jobs_that_left_no_copy(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await ended(run, flow)
        await run.tables.execute("TRUNCATE baton.oban_jobs")
        with pytest.raises(DeletedJobError):
            await flow.handle().fork(["c"])
        await run.tables.execute("TRUNCATE baton.workflow_deleted_jobs")


async def test_wait_steps_wait_again_unless_taken_over(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().wait("w", any_of=["x"], timeout=60, prompt="yes?")
        flow.add("a", works.new(), ignore_cancelled=True)
        flow.wait("v", any_of=["y"], deps=["w"], correlation_key="k")
        await flow.insert()
        await flow.handle().send_event("x", 1)
        await run.engine.workflow(flow.workflow_id).send_event("y", 2)
        await run.end(flow)
        fork = await flow.handle().fork(["v"])
        (waiting,) = await fork.waiting_steps()
        assert (waiting.step, waiting.correlation_key) == ("v", "k")
        await fork.send_event("y", 3)
        assert (await fork.completion()).outcome == "completed"
        assert (await fork.result("w"))["events"] == {"x": 1}
        assert (await fork.result("v"))["events"] == {"y": 3}
        whole = await flow.handle().fork()
        (waiting,) = await whole.waiting_steps()
        assert (waiting.step, waiting.prompt) == ("w", "yes?")
        assert waiting.deadline is not None
        await whole.cancel()


async def test_a_fork_whose_wait_finds_its_event_ends_at_once(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", works.new())
        flow.wait("w", any_of=["x"], deps=["a"], correlation_key="k")
        await flow.insert()
        for payload in (1, 2):
            await send_event(None, "x", payload, correlation_key="k", engine=run.engine)
            await run.end(flow)
        fork = await flow.handle().fork(["w"])
        completion = await fork.completion(timeout=10)
        assert (completion.outcome, completion.total_count) == ("completed", 2)
        assert (await fork.result("w"))["events"] == {"x": 2}


@worker(name="fork.skips")
async def skips(step: Step) -> Skip:
    return Skip("nothing new")


@pytest.mark.parametrize("timeout", [None, 0.01])
async def test_a_wait_step_that_was_taken_over_waits_when_it_is_retried(
    dsn: str, timeout: float | None
) -> None:
    async with running(dsn) as run:
        flow = Baton().wait("w", any_of=["x"], timeout=timeout, correlation_key="k", prompt="yes?")
        flow.add("a", skips.new(), deps=["w"])
        await flow.insert()
        if timeout is None:
            await flow.handle().send_event("x", 1)
        await run.end(flow)
        fork = await flow.handle().fork(["a"])
        assert (await fork.completion()).outcome == "completed"
        assert list(await fork.waiting_steps()) == []
        groups = "SELECT array_agg(DISTINCT status) FROM baton.workflow_wait_groups"
        assert await run.tables.value(groups) == ["completed" if timeout is None else "timeout"]
        await fork.retry("all")
        if timeout is None:
            (waiting,) = await fork.waiting_steps()
            assert (waiting.step, waiting.received, waiting.prompt) == ("w", (), "yes?")
            await fork.send_event("x", 2)
        assert (await fork.completion()).run == 2
        events = {} if timeout else {"x": 2}
        assert (await fork.result("w"))["events"] == events
        assert (await flow.handle().result("w"))["events"] == ({} if timeout else {"x": 1})


async def test_a_skipped_step_is_taken_over_as_skipped(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", skips.new()).add("b", works.new(), run_when_skipped=True)
        flow.add("c", works.new(), deps=["b"])
        await ended(run, flow)
        fork = await flow.handle().fork(["c"])
        completion = await fork.completion()
        assert (completion.outcome, completion.skipped_steps) == ("completed", ("a",))
        assert performed == {"c": 1}


async def test_what_cannot_be_forked(dsn: str) -> None:
    async with running(dsn) as run:
        flow = chain()
        await ended(run, flow, "b")
        handle = flow.handle()
        refused: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"from_steps": []}, InvalidOptionError, "at least one step"),
            ({"from_steps": "b"}, InvalidOptionError, r"from_steps=\['b'\]"),
            ({"from_steps": ["z"]}, UnknownStepError, "'z'"),
            ({"from_steps": ["c"]}, FailedDependencyError, "name 'b' too"),
            ({"from_steps": ["b"], "args": {"a": {}}}, InvalidOptionError, "'a', not retried"),
            ({"workflow_name": ""}, InvalidNameError, "name"),
        ]
        for options, error, text in refused:
            with pytest.raises(error, match=text):
                await handle.fork(**options)
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(Baton().workflow_id).fork()
        waiting = Baton().wait("w", any_of=["x"]).add("a", works.new())
        await waiting.insert()
        with pytest.raises(ForkUnsettledError, match="'w'"):
            await waiting.handle().fork(["a"])
        await waiting.handle().cancel()
        assert await run.tables.value("SELECT count(*) FROM baton.workflows") == 2
