"""Typed results, as type checkers see them too, and what errors say of slips."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal, Optional, assert_type
from uuid import uuid4

import pytest
from pydantic import BaseModel, Field

from baton import Baton, Engine, Step, SyncStep, Worker, worker
from baton.core.errortext import describe
from baton.errors import EmptyWorkflowError, UnknownWorkflowError, WorkerError
from support.running import running


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@worker(name="typed.make")
async def make(step: Step) -> dict[str, str]:
    return {"kind": "cat"}


@worker(name="typed.read", max_attempts=1)
async def read(step: Step) -> bool:
    plain = await step.result("make")
    cat = await step.result("make", Cat)
    assert_type(cat, Cat)
    pet: Cat | Dog = await step.result("make", Pet)
    union: Cat | None = await step.result("make", Cat | None)
    optional: Cat | None = await step.result("make", Optional[Cat])  # noqa: UP045
    some: dict[str, str] = await step.result("make", dict[str, str])
    return bool(plain == some and cat == pet == union == optional)


@worker(name="typed.read_sync", max_attempts=1)
def read_sync(step: SyncStep) -> bool:
    cat = step.result("make", Cat)
    assert_type(cat, Cat)
    pet: Cat | Dog = step.result("make", Pet)
    union: Cat | None = step.result("make", Cat | None)
    return bool(cat == pet == union)


async def outside(engine: Engine, workflow: Baton) -> bool:
    answer: bool | None = await engine.workflow(workflow.workflow_id).result("read", bool | None)
    return bool(answer)


async def test_results_are_read_as_unions_and_annotated_types(dsn: str) -> None:
    workflow = Baton().add("make", make.new())
    workflow.add("read", read.new(), deps=["make"])
    workflow.add("sync", read_sync.new(), deps=["make"])
    async with running(dsn) as run:
        await run.completed(workflow)
        assert await outside(run.engine, workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("sync", bool)


def test_a_default_that_the_type_does_not_take_is_told_at_once() -> None:
    with pytest.raises(WorkerError, match=r"limit: int \| None = None"):

        @worker
        async def limited(step: Step, *, limit: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013

    with pytest.raises(WorkerError, match=r"limit: int \| None = None"):

        class Limited(Worker):
            limit: int = None  # type: ignore[assignment]

            async def perform(self, step: Step) -> None: ...

    @worker
    async def unlimited(
        step: Step, *, limit: int | None = None, other: Any = None, third: object = None
    ) -> None: ...

    assert unlimited.new().args == '{"limit":null,"other":null,"third":null}'


@worker(name="typed.fail", max_attempts=1)
async def fail(step: Step) -> None:
    raise ValueError("mine")


@worker(name="typed.fail_sync", max_attempts=1)
def fail_sync(step: SyncStep) -> None:
    raise ValueError("mine")


async def test_a_stored_traceback_begins_with_the_code_of_the_step(dsn: str) -> None:
    workflow = Baton().add("a", fail.new()).add("b", fail_sync.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
        for name, function in (("a", "fail"), ("b", "fail_sync")):
            error = (await run.tables.step(workflow, name)).error
            title, first, *_ = error.splitlines()
            assert title == "ValueError: mine"
            assert first.endswith(f", in {function}")
            assert __file__ in first


async def test_a_forgotten_await_is_named(dsn: str) -> None:
    async with running(dsn) as run:
        with pytest.raises(UnknownWorkflowError, match=r"'await workflow.insert\(\)' forgotten"):
            await run.engine.workflow(uuid4()).completion(timeout=5)


def test_an_error_of_baton_alone_keeps_its_frames() -> None:
    with pytest.raises(EmptyWorkflowError) as caught:
        Baton().validate()
    trace = caught.value.__traceback__
    assert trace is not None
    described = describe(caught.value.with_traceback(trace.tb_next))
    assert "in Baton.validate" in described


async def test_the_last_failure_is_logged_with_its_traceback(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "baton")
    workflow = Baton().add("a", fail.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
    (line,) = (r for r in caplog.records if "is discarded after attempt 1" in r.getMessage())
    assert line.levelno == logging.WARNING
    assert f'File "{__file__}"' in line.getMessage()
