"""Subscribers and tracers that raise what no `except Exception` catches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any
from uuid import UUID

import pytest

from baton import Baton, Delivery, Step, SyncStep, send_event, subscribe, worker
from baton.telemetry import seam
from baton.words.events import (
    Event,
    StepCompleted,
    StepExecuting,
    WorkflowFinished,
    WorkflowInserted,
)
from baton.words.rows import ClaimedJob, NewWorkflow, Outcome
from support.running import running
from support.waits import until_waits

ERRORS = [
    RuntimeError(),
    asyncio.CancelledError(),
    GeneratorExit(),
    BaseExceptionGroup("several", [asyncio.CancelledError()]),
]
every_error = pytest.mark.parametrize("error", ERRORS, ids=repr)


@worker(max_attempts=1)
async def works(step: Step) -> None:
    return None


@worker(max_attempts=1)
async def waits(step: Step) -> None:
    await step.wait_for("x")


def chain() -> Baton:
    return Baton().add("a", works.new()).add("b", works.new(), deps=["a"])


class Bad:
    """A tracer that fails at one place."""

    trace: str | None = "00-0000000000000000000000000000000a-000000000000000a-01"
    delivery: Delivery | None = None
    linked = 0

    def __init__(self, place: str, error: BaseException) -> None:
        self.place, self.error = place, error

    def _at(self, place: str) -> Bad:
        if place == self.place:
            raise self.error
        return self

    def insert(self, engine: str | None, workflows: Sequence[NewWorkflow]) -> Bad:
        return self._at("insert")

    def attempt(self, engine: str, job: ClaimedJob) -> Bad:
        return self._at("attempt")

    def settle(self, engine: str, outcomes: Sequence[Outcome]) -> Bad:
        return self._at("settle")

    def send_event(
        self, engine: str | None, name: str, workflow_id: UUID | None, key: str | None
    ) -> Bad:
        return self._at("send_event")

    def link_attempt(self, traces: Sequence[str]) -> None:
        self.linked += 1
        self._at("link_attempt")

    def attempt_trace(self) -> str | None:
        self._at("attempt_trace")
        return None

    def carried(self, call: Callable[[], Any]) -> Callable[[], Any]:
        self._at("carried")
        return call

    def end(self, what: object) -> None:
        self._at("end")


@pytest.fixture(params=["insert", "attempt", "settle", "send_event", "link_attempt", "end"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    seam.trace_with(None)


@every_error
async def test_a_tracer_hurts_nobody(dsn: str, place: str, error: BaseException) -> None:
    async with running(dsn, queues={"default": 1}) as run:
        bad = Bad(place, error)
        seam.trace_with(bad)
        await run.completed(chain())
        # The slot is free.
        await run.completed(chain())
        workflow = Baton().add("a", waits.new())
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        assert await send_event(workflow.workflow_id, "x") is Delivery.SETTLED
        await run.end(workflow)
        assert bad.linked == (place != "send_event")


@worker(name="misbehaving.transaction")
async def transaction(step: Step) -> None:
    async with step.transaction():
        pass


@every_error
async def test_a_tracer_that_knows_no_attempt_hurts_no_transaction(
    dsn: str, error: BaseException
) -> None:
    seam.trace_with(Bad("attempt_trace", error))
    try:
        async with running(dsn) as run:
            await run.completed(Baton().add("a", transaction.new()))
    finally:
        seam.trace_with(None)


class Elsewhere(Executor):
    """Takes calls as another process would, and makes them at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        made: Future[Any] = Future()
        made.set_result(fn(*args, **kwargs))
        return made


@every_error
async def test_a_tracer_that_carries_nothing_hurts_no_process(
    dsn: str, error: BaseException
) -> None:
    @worker(name="misbehaving.elsewhere", executor=Elsewhere(), max_attempts=1)
    def elsewhere(step: SyncStep) -> int:
        return step.attempt

    seam.trace_with(Bad("carried", error))
    try:
        async with running(dsn) as run:
            await run.completed(Baton().add("a", elsewhere.new()))
    finally:
        seam.trace_with(None)


@every_error
@pytest.mark.parametrize("kind", [WorkflowInserted, StepExecuting, StepCompleted, WorkflowFinished])
async def test_a_subscriber_hurts_nobody(dsn: str, kind: type[Event], error: BaseException) -> None:
    told: list[Event] = []

    def bad(event: Event) -> None:
        if isinstance(event, kind):
            told.append(event)
            raise error

    stop = subscribe(bad)
    try:
        async with running(dsn, queues={"default": 1}) as run:
            await run.completed(chain())
            await run.completed(chain())
    finally:
        stop()
    assert len(told) == (2 if kind in (WorkflowInserted, WorkflowFinished) else 4)
