"""What a step can read: the results of its declared dependencies, its own, and facts
about itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from baton import Baton, Discard, Step, SyncStep, worker
from baton.errors import (
    NoResultError,
    ResultTypeError,
    UndeclaredDependencyError,
    UnknownStepError,
    UnknownWorkflowError,
)
from support.running import running


class Order(BaseModel):
    number: int
    lines: list[str]


@dataclass
class Point:
    x: int
    y: float


@worker
async def make(step: Step, *, kind: str) -> Any:
    match kind:
        case "model":
            return Order(number=1, lines=["a", "b"])
        case "dataclass":
            return Point(1, 2.5)
        case "list":
            return [1, 2, 3]
        case "dates":
            return {"from": date(2026, 1, 2), "to": None}
        case "nested":
            return {"": [{"ключ": ["\U0001f600", 10**30, -0.0, 1e-300, True, None]}]}
        case _:
            return None


KINDS = ("model", "dataclass", "list", "dates", "nested", "none")


def sources() -> Baton:
    workflow = Baton(workflow_name="sources")
    for kind in KINDS:
        workflow.add(kind, make.new(kind=kind))
    return workflow


SEEN: dict[str, Any] = {}


async def refused(step: Step, name: str, type: Any) -> ResultTypeError:
    with pytest.raises(ResultTypeError) as caught:
        await step.result(name, type)
    return caught.value


@worker(max_attempts=1)
async def read(step: Step) -> dict[str, Any]:
    assert await step.result("model", Order) == Order(number=1, lines=["a", "b"])
    assert await step.result("dataclass", Point) == Point(1, 2.5)
    assert await step.result("list", list[int]) == [1, 2, 3]
    assert await step.result("list", tuple[int, ...]) == (1, 2, 3)
    assert await step.result("dates", dict[str, date | None]) == {
        "from": date(2026, 1, 2),
        "to": None,
    }
    assert await step.result("none") is None
    error = await refused(step, "list", Order)
    assert (error.step, error.dependency, error.expected) == ("read", "list", Order)
    assert error.problems
    await refused(step, "model", list[int])
    await refused(step, "none", int)
    assert await step.own_result() is None
    with pytest.raises(UndeclaredDependencyError) as undeclared:
        await step.result("elsewhere")
    assert undeclared.value.declared == KINDS
    with pytest.raises(UndeclaredDependencyError):
        await step.result("read")
    SEEN["results"] = await step.results()
    return dict(SEEN["results"])


@worker(max_attempts=1)
def read_in_a_thread(step: SyncStep) -> dict[str, Any]:
    assert step.result("model", Order) == Order(number=1, lines=["a", "b"])
    assert step.result("list", list[int]) == [1, 2, 3]
    assert step.result("none") is None
    with pytest.raises(ResultTypeError):
        step.result("list", Order)
    with pytest.raises(UndeclaredDependencyError) as undeclared:
        step.result("elsewhere")
    assert undeclared.value.declared == KINDS
    return step.results()


async def test_results_reach_the_steps_that_declare_them(dsn: str) -> None:
    workflow = (
        sources()
        .add("elsewhere", make.new(kind="none"))
        .add("read", read.new(), deps=KINDS)
        .add("thread", read_in_a_thread.new(), deps=KINDS)
    )
    async with running(dsn) as run:
        await run.completed(workflow)
        for name in ("read", "thread"):
            assert (await run.tables.step(workflow, name)).result == SEEN["results"]
    assert list(SEEN["results"]) == list(KINDS)
    assert SEEN["results"]["nested"] == {
        "": [{"ключ": ["\U0001f600", 10**30, -0.0, 1e-300, True, None]}]
    }
    assert SEEN["results"]["none"] is None


@worker
async def nothing(step: Step) -> None:
    return None


@worker
async def count(step: Step) -> int:
    return len(await step.results())


async def test_a_stored_none_differs_from_nothing_stored(dsn: str) -> None:
    @worker
    async def fails(step: Step) -> Discard:
        return Discard("no result")

    @worker
    async def ask(step: Step) -> list[str]:
        asked: list[str] = []
        for name in ("nothing", "fails"):
            try:
                asked.append(repr(await step.result(name)))
            except NoResultError as error:
                asked.append(f"{error.dependency} {error.state}")
        return asked

    @worker
    def ask_in_a_thread(step: SyncStep) -> str:
        try:
            return repr(step.result("fails"))
        except NoResultError as error:
            return error.dependency

    workflow = (
        Baton(ignore_discarded=True)
        .add("nothing", nothing.new())
        .add("fails", fails.new())
        .add("ask", ask.new(), deps=["nothing", "fails"])
        .add("thread", ask_in_a_thread.new(), deps=["nothing", "fails"])
        .add("count", count.new(), deps=["nothing", "fails"])
    )
    async with running(dsn) as run:
        await run.workflow(workflow)
        row = await run.tables.step(workflow, "nothing")
        assert (row.stored, row.result, row.settled) == (True, None, "completed")
        assert not (await run.tables.step(workflow, "fails")).stored
        assert (await run.tables.step(workflow, "ask")).result == ["None", "fails discarded"]
        assert (await run.tables.step(workflow, "thread")).result == "fails"
        assert (await run.tables.step(workflow, "count")).result == 1


FACTS: list[tuple[Any, ...]] = []


@worker(max_attempts=4, backoff=0)
async def facts(step: Step) -> None:
    FACTS.append(
        (
            step.workflow_id,
            step.workflow_name,
            step.name,
            step.job_id,
            step.attempt,
            step.max_attempts,
        )
    )
    FACTS.append((dict(step.meta), await step.own_result()))
    if step.attempt < 3:
        raise ValueError("again")


@worker(max_attempts=2)
def facts_in_a_thread(step: SyncStep) -> None:
    FACTS.append(
        (
            step.workflow_id,
            step.workflow_name,
            step.name,
            step.job_id,
            step.attempt,
            step.max_attempts,
        )
    )
    FACTS.append((dict(step.meta), None))


@pytest.mark.parametrize("label", ["the label", None])
async def test_a_step_knows_itself(dsn: str, label: str | None) -> None:
    FACTS.clear()
    workflow = Baton(workflow_name=label).add("a", facts.new())
    workflow.add("b", facts_in_a_thread.new(), deps=["a"])
    async with running(dsn) as run:
        a, b = [job.id for job in await run.insert(workflow)]
        await run.end(workflow)
        errors = (await run.tables.step(workflow, "a")).errors
    meta = {"workflow_id": str(workflow.workflow_id)} | ({"workflow_label": label} if label else {})
    expected: list[tuple[Any, ...]] = []
    for attempt in (1, 2, 3):
        expected.append((workflow.workflow_id, label, "a", a, attempt, 4))
        expected.append(({**meta, "workflow_name": "a"}, None))
    expected.append((workflow.workflow_id, label, "b", b, 1, 2))
    expected.append(({**meta, "workflow_name": "b"}, None))
    assert expected == FACTS
    assert [(error["attempt"], error["error"].partition("\n")[0]) for error in errors] == [
        (1, "ValueError: again"),
        (2, "ValueError: again"),
    ]


async def test_what_has_not_settled_has_no_result_yet(dsn: str) -> None:
    workflow = Baton().add("publish", nothing.new(), queue="nobody")
    async with running(dsn) as run:
        await run.insert(workflow)
        handle = run.engine.workflow(workflow.workflow_id)
        with pytest.raises(NoResultError) as caught:
            await handle.result("publish")
        assert str(caught.value) == ("step 'publish' has not settled yet: await completion() first")
        with pytest.raises(UnknownStepError, match=r"'publsh'; did you mean 'publish'\?$"):
            await handle.result("publsh")
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(uuid4()).result("publish")


async def test_a_misspelt_dependency_is_told_what_was_meant(dsn: str) -> None:
    said: list[str] = []

    @worker
    async def ask(step: Step) -> None:
        try:
            await step.result("onne")
        except UndeclaredDependencyError as error:
            said.append(str(error))

    @worker
    def ask_in_a_thread(step: SyncStep) -> None:
        try:
            step.result("onne")
        except UndeclaredDependencyError as error:
            said.append(str(error))

    workflow = Baton().add("one", nothing.new())
    workflow.add("ask", ask.new(), deps=["one"]).add("thread", ask_in_a_thread.new(), deps=["one"])
    async with running(dsn) as run:
        await run.completed(workflow)
    assert len(said) == 2
    assert all("('one'); did you mean 'one'? Or declare it: .add(" in text for text in said)
