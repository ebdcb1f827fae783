"""Workflows of every shape settle: steps run in order, failures cascade, schedules are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest

from baton import Baton, Cancel, Discard, Step, Worker, WorkflowOutcome, insert_all, worker
from baton.handles.draft import draft_of
from baton.words.events import (
    StepCancelled,
    StepCompleted,
    StepExecuting,
    StepSettled,
    WorkflowFailed,
    WorkflowFinished,
)
from support.running import Recorder, running


@worker
async def echo(step: Step, *, value: int = 1) -> int:
    return value


@worker
async def total(step: Step) -> int:
    return sum((await step.results()).values())


@worker
async def cancelled(step: Step) -> Cancel:
    return Cancel("on purpose")


@worker
async def discarded(step: Step) -> Discard:
    return Discard("on purpose")


@worker
async def ignorant(step: Step) -> dict[str, Any]:
    return await step.results()


FAILING = {"cancelled": cancelled.new(), "discarded": discarded.new()}


def chain(length: int) -> Baton:
    workflow = Baton(workflow_name="chain").add("0", echo.new())
    for number in range(1, length):
        workflow.add(str(number), total.new(), deps=[str(number - 1)])
    return workflow


def fan(width: int) -> Baton:
    workflow = Baton(workflow_name="fan").add("root", echo.new())
    leaves = [f"leaf {number}" for number in range(width)]
    for leaf in leaves:
        workflow.add(leaf, total.new(), deps=["root"])
    return workflow.add("join", total.new(), deps=leaves)


def flat(width: int) -> Baton:
    workflow = Baton(workflow_name="flat")
    for number in range(width):
        workflow.add(str(number), echo.new(value=number))
    return workflow


def diamond() -> Baton:
    return (
        Baton(workflow_name="diamond")
        .add("a", echo.new())
        .add("b", total.new(), deps=["a"])
        .add("c", total.new(), deps=["a"])
        .add("d", total.new(), deps=["b", "c"])
    )


SHAPES: dict[str, tuple[Callable[[], Baton], str, int]] = {
    "diamond": (diamond, "d", 2),
    "chain": (partial(chain, 40), "39", 1),
    "fan": (partial(fan, 60), "join", 60),
    "flat": (partial(flat, 80), "79", 79),
}


def assert_order(workflow: Baton, events: Recorder) -> None:
    """Every step was performed once, after all its dependencies.

    Their own events may come later: a settlement beside can bring a step before the one that
    recorded its last dependency has told of it.
    """
    done: set[str] = set()
    performed: list[str] = []
    deps = {step.name: step.deps for step in draft_of(workflow).prepared().steps}
    for event in events.all:
        if isinstance(event, StepExecuting) and event.step is not None:
            assert set(performed).issuperset(deps[event.step]), event.step
            performed.append(event.step)
        elif isinstance(event, StepCompleted) and event.step is not None:
            done.add(event.step)
    assert sorted(performed) == sorted(workflow.step_names)
    assert done == set(workflow.step_names)


@pytest.mark.parametrize(("shape", "limit"), [*product(SHAPES, [50]), ("fan", 1), ("diamond", 1)])
async def test_every_shape_completes(dsn: str, shape: str, limit: int) -> None:
    build, last, result = SHAPES[shape]
    workflow = build()
    async with running(dsn, queues={"default": limit}) as run:
        completion = await run.workflow(workflow)
        await run.events.until(StepCompleted, len(workflow))
        assert completion.outcome is WorkflowOutcome.COMPLETED
        assert completion.failed_steps == ()
        assert (completion.failed_count, completion.total_count) == (0, len(workflow))
        assert set((await run.tables.states(workflow)).values()) == {"completed"}
        assert (await run.tables.step(workflow, last)).result == result
        assert_order(workflow, run.events)
        (finished,) = run.events.of(WorkflowFinished)
        assert finished.workflow_name == shape
        assert finished.duration == completion.duration.total_seconds() > 0
        assert not run.events.of(WorkflowFailed)


async def test_no_more_steps_run_at_once_than_the_queue_allows(dsn: str) -> None:
    most = now = 0

    @worker
    async def busy(step: Step) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    workflow = Baton().add("root", busy.new())
    for number in range(40):
        workflow.add(f"{number}", busy.new(), deps=["root"])
        workflow.add(f"free {number}", busy.new())
    async with running(dsn, queues={"default": 7}, settlers=3) as run:
        assert (await run.workflow(workflow)).outcome == "completed"
    assert 2 <= most <= 7


async def test_flags_decide_what_a_failed_dependency_means(dsn: str) -> None:
    cases = list(product(FAILING, [False, True], [False, True], [False, True]))
    workflows: list[Baton] = []
    for ending, ignore_cancelled, ignore_discarded, of_the_step in cases:
        flags: dict[str, Any] = {
            "ignore_cancelled": ignore_cancelled,
            "ignore_discarded": ignore_discarded,
        }
        other = {name: not given for name, given in flags.items()}
        # The step's own flags count; the workflow's are only their defaults.
        workflow = Baton(None, None, **(other if of_the_step else flags))
        workflow.add("fails", FAILING[ending]).add("works", echo.new())
        own = flags if of_the_step else {}
        workflows.append(workflow.add("after", ignorant.new(), deps=["fails", "works"], **own))
    async with running(dsn) as run:
        await insert_all(workflows)
        for workflow, case in zip(workflows, cases, strict=True):
            ending, ignore_cancelled, ignore_discarded, _ = case
            completion = await run.end(workflow)
            states = await run.tables.states(workflow)
            after = await run.tables.step(workflow, "after")
            assert states["fails"] == ending, case
            assert completion.outcome == ("failed" if ending == "discarded" else ending), case
            if ignore_cancelled if ending == "cancelled" else ignore_discarded:
                assert states["after"] == "completed", case
                assert after.result == {"works": 1}, case
                assert completion.failed_steps == ("fails",), case
            else:
                assert states["after"] == "cancelled", case
                assert after.error == f"dependency 'fails' was {ending}", case
                assert (after.attempt, after.stored) == (0, False), case
                assert completion.failed_steps == ("fails", "after"), case
                assert completion.failed_count == 2, case


async def test_a_cascade_goes_deep_and_wide_in_one_settlement(dsn: str) -> None:
    workflow = Baton().add("top", discarded.new())
    previous = ["top"]
    for level in range(30):
        names = [f"{level}/{number}" for number in range(10)]
        for name in names:
            workflow.add(name, echo.new(), deps=previous)
        previous = names
    workflow.add("aside", echo.new())
    workflow.add("saved", echo.new(), deps=["0/0"], ignore_cancelled=True)
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        assert completion.failed_count == 301
        assert len(completion.failed_steps) == 301
        states = await run.tables.states(workflow)
        assert states.pop("aside") == states.pop("saved") == "completed"
        assert states.pop("top") == "discarded"
        assert set(states.values()) == {"cancelled"}
        assert (await run.tables.step(workflow, "0/3")).error == "dependency 'top' was discarded"
        assert (await run.tables.step(workflow, "7/3")).error == "dependency '6/0' was cancelled"
        assert len(run.events.of(StepCancelled)) == 300
        commits = await run.tables.value(
            "SELECT count(DISTINCT xmin::text) FROM baton.oban_jobs WHERE state <> 'completed'"
        )
        assert commits == 1
        assert len(run.events.of(WorkflowFinished)) == 1
        assert len(run.events.of(WorkflowFailed, failed_count=301, total_count=303)) == 1


CALLS: list[tuple[str, str, str | None, int]] = []


class Hooked(Worker):
    number: int = 0

    async def perform(self, step: Step) -> None:
        raise AssertionError("a cancelled step is not performed")

    async def on_dep_cancelled(self, step: Step, dependency: str) -> None:
        CALLS.append(("cancelled", dependency, step.name, self.number))

    async def on_dep_discarded(self, step: Step, dependency: str) -> None:
        CALLS.append(("discarded", dependency, step.name, self.number))
        raise ValueError("a hook that fails hurts nobody")


async def function_hook(step: Step, dependency: str) -> None:
    CALLS.append(("function", dependency, step.name, len(await step.results())))


@worker(on_dep_cancelled=function_hook)
async def hooked(step: Step) -> None:
    raise AssertionError("a cancelled step is not performed")


async def test_hooks_are_called_once_with_the_dependency_to_blame(dsn: str) -> None:
    CALLS.clear()
    workflow = (
        Baton()
        .add("ok", echo.new())
        .add("cancels", cancelled.new(), deps=["ok"])
        .add("discards", discarded.new(), deps=["ok"])
        .add("c", Hooked(number=1), deps=["ok", "cancels"])
        .add("d", Hooked(number=2), deps=["ok", "discards"])
        .add("below", Hooked(number=3), deps=["d"])
        .add("f", hooked.new(), deps=["ok", "c"])
        .add("unhooked", echo.new(), deps=["f"])
    )
    async with running(dsn) as run:
        await run.workflow(workflow)
    # Stopping lets hooks finish.
    assert sorted(CALLS, key=str) == [
        ("cancelled", "cancels", "c", 1),
        ("cancelled", "d", "below", 3),
        ("discarded", "discards", "d", 2),
        ("function", "c", "f", 1),
    ]


async def test_a_scheduled_step_waits_for_its_dependencies_and_its_time(dsn: str) -> None:
    workflow = (
        Baton()
        .add("now", echo.new())
        .add("later", echo.new(), schedule_in=0.4)
        .add("after", total.new(), deps=["now"], schedule_in=0.6)
        .add("past", total.new(), deps=["later"], schedule_in=0.1)
    )
    async with running(dsn) as run:
        jobs = await run.insert(workflow)
        assert [job.state for job in jobs] == ["available", "scheduled", "suspended", "suspended"]
        row = await run.tables.until(workflow, "after", "scheduled")
        assert 0 < row.due_in <= 0.6
        completion = await run.end(workflow)
        assert completion.outcome == "completed"
        assert completion.duration.total_seconds() >= 0.6
        assert run.events.endings("after") == ["StepCompleted"]


async def test_a_failed_dependency_releases_a_scheduled_step_at_its_time(dsn: str) -> None:
    workflow = (
        Baton(ignore_discarded=True)
        .add("fails", discarded.new())
        .add("after", echo.new(), deps=["fails"], schedule_in=0.5)
        .add("at once", echo.new(), deps=["fails"])
    )
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepSettled, step="at once")
        row = await run.tables.step(workflow, "after")
        assert row.state == "scheduled"
        assert 0 < row.due_in <= 0.5
        assert (await run.end(workflow)).failed_steps == ("fails",)


async def test_steps_of_several_queues_and_engines_hand_on(dsn: str) -> None:
    workflow = Baton().add("0", echo.new(), queue="left")
    for number in range(1, 20):
        queue = "left" if number % 2 == 0 else "right"
        workflow.add(str(number), total.new(), deps=[str(number - 1)], queue=queue)
    async with running(dsn, queues={"left": 2}) as run, running(dsn, queues={"right": 2}, name="b"):
        assert (await run.workflow(workflow)).outcome == "completed"
