"""Steps are added to a workflow from outside while it goes on."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from baton import Baton, Discard, Step, worker
from baton.errors import (
    BeforeError,
    CycleError,
    DuplicateStepError,
    EmptyWorkflowError,
    GraphError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    UnknownDependencyError,
    UnknownWorkflowError,
    WorkflowFinishedError,
    WorkflowInsertedError,
)
from baton.words.events import ActionDone, StepExecuting, WorkflowGrown
from support.gates import Gate
from support.running import running

GATE = Gate()


@worker(name="extend.leaf")
async def leaf(step: Step) -> str:
    return str(step.name)


@worker(name="extend.holds")
async def holds(step: Step) -> str:
    await GATE.wait()
    return "held"


@worker(name="extend.fails")
async def fails(step: Step) -> object:
    return Discard("no")


@worker(name="extend.total")
async def total(step: Step) -> Any:
    return sorted(await step.results())


def held() -> Baton:
    return (
        Baton()
        .add("done", leaf.new())
        .add("lost", fails.new())
        .add("hold", holds.new(), deps=["done"])
        .add("join", total.new(), deps=["hold"])
    )


@pytest.fixture(autouse=True)
def _fresh() -> None:
    global GATE
    GATE = Gate()


async def test_new_steps_run_are_waited_for_and_told_of(dsn: str) -> None:
    flow = held()
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="hold")
        more = (
            Baton()
            .add("free", leaf.new())
            .add("below", leaf.new(), deps=["done", "free"])
            .add("last", total.new(), deps=["join", "below"])
            .add("doomed", leaf.new(), deps=["lost"])
            .add("either", leaf.new(), any_of=["lost", "done"])
        )
        jobs = await flow.handle().extend(more, before={"below": ["join"]}, by="ann", reason="more")
        assert [job.name for job in jobs] == list(more.step_names)
        with pytest.raises(WorkflowInsertedError):
            more.add("late", leaf.new())
        await run.tables.until(flow, "below", "completed")
        assert (await run.tables.step(flow, "join")).settled is None
        GATE.set()
        completion = await flow.completion(timeout=20)
        assert (completion.total_count, completion.failed_steps) == (9, ("lost", "doomed"))
        handle = flow.handle()
        assert await handle.result("join") == ["below", "hold"]
        assert await handle.result("last") == ["below", "join"]
        assert await handle.result("either") == "either"
        (action,) = await run.engine.insights.actions(flow.workflow_id)
        assert (action.action, action.actor, action.reason) == ("extend", "ann", "more")
        (grown,) = run.events.of(WorkflowGrown)
        assert (grown.step, grown.added_count) == (None, 5)
        assert len(run.events.of(ActionDone, action="extend")) == 1


async def test_a_paused_workflow_takes_steps_and_starts_none(dsn: str) -> None:
    flow = held()
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="hold")
        await flow.handle().pause()
        more = Baton().add("new", leaf.new()).add("next", leaf.new(), deps=["done", "new"])
        more.wait("waits", any_of=["yes"], deps=["done"]).wait("root", any_of=["yes"])
        more.add("when", leaf.new(), deps=["done"], when={"done": "done"})
        await flow.handle().extend(more)
        states = await run.tables.states(flow)
        assert {states[name] for name in more.step_names} == {"suspended"}
        assert await run.tables.violations() == []
        await flow.handle().send_event("yes", 1)
        await flow.handle().send_event("yes", 2)
        assert (await run.tables.step(flow, "root")).settled is None
        await flow.handle().resume()
        GATE.set()
        assert (await flow.completion(timeout=20)).total_count == 9


WRONG: list[tuple[Baton, Any, type[Exception], str]] = [
    (Baton(), None, EmptyWorkflowError, "no steps"),
    (Baton().add("done", leaf.new()), None, DuplicateStepError, "'done'"),
    (Baton().add("x", leaf.new(), deps=["dne"]), None, UnknownDependencyError, "'done'"),
    (Baton().add("x", leaf.new(), deps=["x"]), None, GraphError, "depends on itself"),
    (Baton().add("x", leaf.new()), {"x": ["jon"]}, BeforeError, "not a step of this"),
    (Baton().add("x", leaf.new()), {"x": ["done"]}, BeforeError, "settled as completed"),
    (Baton().add("x", leaf.new()), {"x": ["hold"]}, BeforeError, "no other step any more"),
    (Baton().add("x", leaf.new()), {"x": ["x"]}, BeforeError, "which is new too"),
    (Baton().add("x", leaf.new(), deps=["join"]), {"x": ["join"]}, CycleError, "cycle"),
    (Baton().add("x", leaf.new()), {"y": ["join"]}, InvalidOptionError, "as 'y' is not"),
    (Baton().add("x", leaf.new()), ["join"], InvalidOptionError, "before={'new'"),
    (Baton().add("x", leaf.new()), {"x": [7]}, InvalidNameError, "step names"),
    (Baton(tags=["a"]).add("x", leaf.new()), None, InvalidArgumentError, "without tags"),
]


@pytest.mark.parametrize(("more", "before", "error", "match"), WRONG)
async def test_what_does_not_fit_is_refused_and_nothing_written(
    dsn: str, more: Baton, before: Any, error: type[Exception], match: str
) -> None:
    flow = held()
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepExecuting, step="hold")
        with pytest.raises(error, match=match):
            await flow.handle().extend(more, before=before)
        assert set(await run.tables.states(flow)) == {"done", "lost", "hold", "join"}
        assert await run.tables.value("SELECT count(*) FROM baton.baton_actions") == 0
        GATE.set()
        assert (await flow.completion(timeout=20)).total_count == 4
        # A builder that was refused may be used for another workflow.
        if before is None and more.step_names and error is DuplicateStepError:
            more.add("y", leaf.new())


async def test_a_finished_and_an_unknown_workflow_refuse(dsn: str) -> None:
    flow = Baton().add("a", leaf.new())
    async with running(dsn) as run:
        await run.workflow(flow)
        with pytest.raises(WorkflowFinishedError, match="insert what is to follow"):
            await flow.handle().extend(Baton().add("b", leaf.new()))
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(uuid4()).extend(Baton().add("b", leaf.new()))
        wrong: Any = leaf
        with pytest.raises(InvalidArgumentError, match="a builder of steps"):
            await flow.handle().extend(wrong)
