"""Spans of events that are sent, and the links of whoever receives them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from baton import Baton, Delivery, Step, send_event, worker
from baton.errors import UnknownWorkflowError
from baton.store.store import Store
from support.otel import Telemetry
from support.running import running
from support.waits import until_waits


@worker
async def works(step: Step) -> None:
    """Done at once."""


@worker
async def waits(step: Step) -> None:
    with trace.get_tracer("user").start_as_current_span("inside"):
        await step.wait_for("x", correlation_key="k")


@worker
async def waits_twice(step: Step) -> None:
    await step.wait_all("x", "y")


def identity(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def sendings(otel: Telemetry) -> list[ReadableSpan]:
    return otel.spans_of(messaging__operation__name="send_event")


def attempts(otel: Telemetry, step: str) -> list[ReadableSpan]:
    return otel.spans_of(messaging__operation__name="process", baton__step__name=step)


@pytest.mark.parametrize("by", ["workflow", "key", "early", "early key", "conn"])
async def test_an_attempt_links_to_the_sender_of_what_it_received(
    dsn: str, otel: Telemetry, by: str
) -> None:
    async with running(dsn) as run:
        workflow = Baton().add("a", waits.new())
        where: tuple[Any, Any] = (None, "k") if "key" in by else (workflow.workflow_id, None)
        if "early" in by:
            run.engine.queue("default").pause()
        await run.insert(workflow)
        if "early" not in by:
            await until_waits(run.tables, workflow)
        with otel.tracer_provider.get_tracer("app").start_as_current_span("request") as request:
            if by == "conn":
                async with run.engine.database.transaction() as connection:
                    await send_event(where[0], "x", 1, conn=connection)
            else:
                await send_event(where[0], "x", 1, correlation_key=where[1])
            assert trace.get_current_span() is request
        run.engine.queue("default").resume()
        await run.end(workflow)
    (sending,) = sendings(otel)
    assert (sending.name, sending.kind) == ("send_event x", SpanKind.PRODUCER)
    assert sending.parent is not None
    assert sending.parent.span_id == request.get_span_context().span_id
    expected = {
        "messaging.system": "baton",
        "messaging.operation.name": "send_event",
        "messaging.operation.type": "send",
        "baton.event.name": "x",
        "baton.engine": "default",
        "baton.event.delivery": "buffered" if "early" in by else "settled",
    }
    if "key" in by:
        expected["baton.correlation_key"] = "k"
    else:
        expected["baton.workflow.id"] = str(workflow.workflow_id)
    assert dict(sending.attributes or {}) == expected
    *before, last = attempts(otel, "a")
    assert [links(span) for span in before] == [[]] * len(before)
    assert links(last) == [identity(sending)]
    assert not any(links(span) for span in otel.spans if span.name == "inside")


async def test_it_links_to_each_of_several(dsn: str, otel: Telemetry) -> None:
    async with running(dsn) as run:
        workflow = Baton().add("a", waits_twice.new())
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        for name in "yx":
            await send_event(workflow.workflow_id, name, 1)
        await run.end(workflow)
    assert links(attempts(otel, "a")[-1]) == [identity(span) for span in sendings(otel)]


@pytest.mark.parametrize("early", [False, True])
async def test_what_is_behind_a_gate_links_to_the_sender_of_its_event(
    dsn: str, otel: Telemetry, early: bool
) -> None:
    async with running(dsn) as run:
        workflow = Baton().add("a", works.new()).wait("gate", any_of=["x"], deps=["a"])
        workflow.add("b", works.new(), deps=["gate"])
        if early:
            run.engine.queue("default").pause()
        await run.insert(workflow)
        if not early:
            await run.tables.until(workflow, "a", "completed")
        await send_event(workflow.workflow_id, "x", 1)
        run.engine.queue("default").resume()
        await run.end(workflow)
    (sending,), (b,) = sendings(otel), attempts(otel, "b")
    assert links(b) == [identity(sending)]


async def test_a_gate_whose_time_is_over_has_no_sender(dsn: str, otel: Telemetry) -> None:
    async with running(dsn) as run:
        workflow = Baton().wait("gate", any_of=["x"], timeout=0.01, on_timeout="result")
        await run.completed(workflow.add("b", works.new(), deps=["gate"]))
    (b,) = attempts(otel, "b")
    assert links(b) == []


async def test_a_refused_event_ends_its_span_with_an_error(dsn: str, otel: Telemetry) -> None:
    async with running(dsn):
        with pytest.raises(UnknownWorkflowError):
            await send_event(Baton().workflow_id, "x")
    (sending,) = sendings(otel)
    assert sending.status.status_code is StatusCode.ERROR
    assert (sending.attributes or {})["error.type"] == "UnknownWorkflowError"
    assert "baton.event.delivery" not in (sending.attributes or {})


async def test_where_nobody_traces_nothing_is_kept_and_nothing_is_looked_for(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    fetch = Store.fetch

    async def watched(database: Store, query: str, *args: object) -> Any:
        if query == "read_waits":
            asked.append(args)
        return await fetch(database, query, *args)

    monkeypatch.setattr(Store, "fetch", watched)
    async with running(dsn) as run:
        workflow = Baton().add("a", waits.new())
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        assert await send_event(workflow.workflow_id, "x", 1) is Delivery.SETTLED
        await run.end(workflow)
        assert await run.tables.value("SELECT count(trace) FROM baton.workflow_events") == 0
    assert [traced for _, traced in asked] == [False, False]
