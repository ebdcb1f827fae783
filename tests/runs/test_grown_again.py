"""A retry takes back what a step that it begins anew had added; a fork leaves it out."""

from __future__ import annotations

from typing import Any

import pytest

from baton import Baton, Step, worker
from baton.errors import GrownDependencyError, StepRunningError
from baton.words.events import StepExecuting, WorkflowGrown
from support.gates import Gate
from support.running import Run, running

GATE = Gate()
COUNTS: list[int] = []


@worker(name="grown.leaf")
async def leaf(step: Step, *, number: int = 0) -> int:
    return number


@worker(name="grown.waits")
async def waits(step: Step) -> str:
    await GATE.wait()
    return "waited"


@worker(name="grown.total")
async def total(step: Step) -> Any:
    return await step.results()


@worker(name="grown.lists")
async def lists(step: Step, *, job: str = "leaf", deeper: bool = False) -> str:
    """As many steps as it is told, each time another number."""
    for number in range(COUNTS.pop()):
        new = waits.new() if job == "waits" else leaf.new(number=number)
        if deeper:
            new = lists.new()
        step.add(f"{step.name}-{number}", new, before=["join"])
    if step.name == "list":
        step.wait("approval", any_of=["yes"], before=["join"])
    return "listed"


def growing(**args: Any) -> Baton:
    return (
        Baton()
        .add("first", leaf.new())
        .add("list", lists.new(**args), deps=["first"])
        .add("join", total.new(), deps=["list"])
        .add("after", leaf.new(), deps=["join"])
    )


async def approved(run: Run, flow: Baton, count: int) -> None:
    await run.events.until(WorkflowGrown, count)
    await run.engine.workflow(flow.workflow_id).send_event("yes", count)


async def names(flow: Baton) -> set[str]:
    return {row.name for row in (await flow.handle().steps()).rows}


@pytest.mark.parametrize(
    "how", [{"steps": ["list"]}, {"mode": "all"}, {"steps": ["first"]}, {"steps": ["list", "join"]}]
)
async def test_a_step_that_is_performed_anew_adds_anew(dsn: str, how: dict[str, Any]) -> None:
    COUNTS[:] = [2, 3]
    flow = growing()
    async with running(dsn) as run:
        await run.insert(flow)
        await approved(run, flow, 1)
        completion = await flow.completion(timeout=20)
        assert completion.total_count == 8
        assert await names(flow) >= {"list-0", "list-1", "list-2"}
        retried = await flow.handle().retry(**how)
        assert retried.run == 2
        await approved(run, flow, 2)
        completion = await flow.completion(timeout=20)
        assert (completion.run, completion.total_count) == (2, 7)
        own = {"first", "list", "join", "after", "approval"}
        assert await names(flow) == own | {"list-0", "list-1"}
        found = await flow.handle().result("join")
        assert set(found) == {"list", "list-0", "list-1", "approval"}
        history = await run.engine.insights.history(flow.workflow_id, step="list-2")
        assert [(row.run, row.state) for row in history] == [(1, "completed")]
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_deleted_jobs") == 0
        assert await run.tables.violations() == []


async def test_what_was_added_by_what_was_added_goes_too(dsn: str) -> None:
    # Popped from the end: the first run adds 2 steps, of which one adds 1; the second adds none.
    COUNTS[:] = [0, 0, 0, 1, 2]
    flow = Baton().add("list", lists.new(deeper=True)).add("join", total.new(), deps=["list"])
    async with running(dsn, queues={"default": 1}) as run:
        await run.insert(flow)
        await approved(run, flow, 2)
        completion = await flow.completion(timeout=20)
        assert completion.total_count == 6
        await flow.handle().retry(steps=["list"])
        await approved(run, flow, 3)
        completion = await flow.completion(timeout=20)
        assert (completion.run, completion.total_count) == (2, 3)
        assert await names(flow) == {"list", "join", "approval"}
        assert await run.tables.violations() == []


async def test_one_that_runs_is_taken_back_when_it_may_be_interrupted(dsn: str) -> None:
    COUNTS[:] = [0, 1]
    flow = growing(job="waits")
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="list-0")
        with pytest.raises(StepRunningError, match="'list-0'"):
            await flow.handle().retry(steps=["list"])
        assert "list-0" in await names(flow)
        retried = await flow.handle().retry(steps=["list"], interrupt=True)
        # The workflow had not ended, though what was taken back was all that was outstanding of it.
        assert retried.run == 1
        await approved(run, flow, 2)
        completion = await flow.completion(timeout=20)
        assert (completion.run, completion.total_count) == (1, 5)
        GATE.set()
        assert await names(flow) == {"first", "list", "join", "after", "approval"}


async def test_a_failed_step_that_was_added_is_retried_as_any(dsn: str) -> None:
    COUNTS[:] = [1]
    flow = growing()
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(WorkflowGrown)
        await flow.handle().cancel_wait("approval")
        await flow.completion(timeout=20)
        await flow.handle().retry()
        await approved(run, flow, 1)
        completion = await flow.completion(timeout=20)
        assert (completion.run, completion.outcome, completion.total_count) == (2, "completed", 6)


async def test_what_stands_on_it_keeps_it(dsn: str) -> None:
    COUNTS[:] = [1]
    flow = growing()
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(WorkflowGrown)
        await flow.handle().extend(Baton().add("later", leaf.new(), deps=["list-0"]))
        for mode in ({"mode": "all"}, {"steps": ["list"]}):
            with pytest.raises(GrownDependencyError, match="'later' was added later"):
                await flow.handle().retry(**mode, interrupt=True)
        with pytest.raises(GrownDependencyError):
            await flow.handle().fork()
        await approved(run, flow, 1)
        assert (await flow.completion(timeout=20)).total_count == 7


@pytest.mark.parametrize("from_steps", [None, ["list"], ["first"]])
async def test_a_fork_that_performs_it_has_it_add_anew(
    dsn: str, from_steps: list[str] | None
) -> None:
    COUNTS[:] = [1, 3]
    flow = growing()
    async with running(dsn) as run:
        await run.insert(flow)
        await approved(run, flow, 1)
        await flow.completion(timeout=20)
        fork = await flow.handle().fork(from_steps)
        await run.events.until(WorkflowGrown, 2)
        await fork.send_event("yes", 2)
        completion = await fork.completion(timeout=20)
        assert (completion.outcome, completion.total_count) == ("completed", 6)
        assert set(await fork.result("join")) == {"list", "list-0", "approval"}
        assert await run.tables.violations() == []


async def test_a_fork_keeps_what_it_takes_over_and_can_be_retried(dsn: str) -> None:
    COUNTS[:] = [1, 2]
    flow = growing()
    async with running(dsn) as run:
        await run.insert(flow)
        await approved(run, flow, 1)
        await flow.completion(timeout=20)
        fork = await flow.handle().fork(["join"])
        assert (await fork.completion(timeout=20)).total_count == 7
        await fork.retry(steps=["list"])
        await run.events.until(WorkflowGrown, 2)
        await fork.send_event("yes", 2)
        completion = await fork.completion(timeout=20, run=2)
        assert (completion.outcome, completion.total_count) == ("completed", 6)
        assert await run.tables.violations() == []


@worker(name="grown.before")
async def adds_before(step: Step, *, target: str) -> None:
    step.add(f"{step.name}-new", leaf.new(), before=[target])


@pytest.mark.parametrize("how", [{"mode": "all"}, {"steps": ["a"]}])
async def test_what_waited_for_it_waits_for_who_adds_it(dsn: str, how: dict[str, Any]) -> None:
    """Also where nothing else ties them, and where one that adds waits itself."""
    flow = (
        Baton()
        .add("a", adds_before.new(target="b"))
        .add("b", adds_before.new(target="d"), deps=["a"])
        .add("c", leaf.new(), deps=["b"])
        .add("d", total.new(), deps=["c"])
    )
    async with running(dsn) as run:
        await run.workflow(flow)
        await flow.handle().retry(**how)
        completion = await flow.completion(timeout=20)
        assert (completion.run, completion.outcome, completion.total_count) == (2, "completed", 6)
        assert set(await flow.handle().result("d")) == {"b", "c", "b-new"}
        assert await run.tables.violations() == []
