"""One trace from the inserting request through every step, as a real SDK gets it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from baton import Baton, Cancel, Plugin, Snooze, Step, SyncStep, insert_all, worker
from baton.errors import WorkflowExistsError
from baton.words.events import StepCompleted
from baton.workers.registry import held_spec
from support.otel import Telemetry
from support.running import running


@worker
async def works(step: Step) -> str:
    with trace.get_tracer("user").start_as_current_span("inside"):
        return str(step.name)


def diamond() -> Baton:
    return (
        Baton(workflow_name="ingest")
        .add("a", works.new())
        .add("b", works.new(), deps=["a"])
        .add("c", works.new(), deps=["a"], queue="io")
        .add("d", works.new(), deps=["b", "c"])
    )


def links(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


async def test_the_spans_of_a_diamond(dsn: str, otel: Telemetry) -> None:
    tracer = otel.tracer_provider.get_tracer("app")
    workflow = diamond()
    with tracer.start_as_current_span("application"):
        async with running(dsn, queues={"default": 5, "io": 5}) as run:
            with tracer.start_as_current_span("request") as current:
                jobs = await run.insert(workflow)
                assert trace.get_current_span() is current
            await run.end(workflow)
    workflow_id = str(workflow.workflow_id)
    (request,) = [span for span in otel.spans if span.name == "request"]
    (send,) = otel.spans_of(messaging__operation__type="send")
    assert (send.name, send.kind) == ("send", SpanKind.PRODUCER)
    assert send.parent is not None
    assert (send.parent.trace_id, send.parent.span_id) == ids(request)
    assert dict(send.attributes or {}) == {
        "messaging.system": "baton",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 4,
        "baton.workflow.count": 1,
        "baton.engine": "default",
        "baton.workflow.id": workflow_id,
        "baton.workflow.name": "ingest",
    }
    attempts = {
        str((span.attributes or {})["baton.step.name"]): span
        for span in otel.spans_of(messaging__operation__type="process")
    }
    assert sorted(attempts) == ["a", "b", "c", "d"]
    for job in jobs:
        span = attempts[job.name]
        queue = "io" if job.name == "c" else "default"
        assert (span.name, span.kind) == (f"process {queue}", SpanKind.CONSUMER)
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id) == ids(send)
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes or {}) == {
            "messaging.system": "baton",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
            "messaging.message.id": str(job.id),
            "baton.engine": "default",
            "baton.workflow.id": workflow_id,
            "baton.workflow.name": "ingest",
            "baton.step.name": job.name,
            "baton.worker": held_spec(works).name,
            "baton.job.attempt": 1,
        }
    span_ids = {name: ids(span)[1] for name, span in attempts.items()}
    assert links(attempts["a"]) == set()
    assert links(attempts["b"]) == links(attempts["c"]) == {span_ids["a"]}
    assert links(attempts["d"]) == {span_ids["b"], span_ids["c"]}
    # Every attempt is settled once, by a span that belongs to no trace of theirs.
    settled = Counter[int]()
    for span in otel.spans_of(messaging__operation__type="settle"):
        assert (span.name, span.kind, span.parent) == ("settle", SpanKind.CLIENT, None)
        assert (span.attributes or {})["messaging.batch.message_count"] == len(span.links)
        settled.update(links(span))
    assert settled == dict.fromkeys(span_ids.values(), 1)


async def test_what_a_step_does_belongs_to_its_span(dsn: str, otel: Telemetry) -> None:
    """Its own spans, and those of the workflows that it inserts."""
    tracer = otel.tracer_provider.get_tracer("app")

    @worker
    async def nests(step: Step) -> None:
        with tracer.start_as_current_span("inside"):
            await inner.insert()

    @worker
    def threaded(step: SyncStep) -> None:
        with tracer.start_as_current_span("in a thread"):
            return

    inner = Baton().add("inner", threaded.new())
    outer = Baton().add("outer", nests.new())
    async with running(dsn) as run:
        await run.workflow(outer)
        await run.end(inner)
    spans = {
        str((span.attributes or {}).get("baton.step.name", span.name)): span for span in otel.spans
    }
    sends = otel.spans_of(messaging__operation__type="send")
    chain = [sends[0], spans["outer"], spans["inside"], sends[1], spans["inner"]]
    chain.append(spans["in a thread"])
    assert len({ids(span)[0] for span in chain}) == 1
    for parent, child in pairwise(chain):
        assert child.parent is not None
        assert child.parent.span_id == ids(parent)[1]


async def test_how_attempts_end(dsn: str, otel: Telemetry) -> None:
    @worker(max_attempts=2, backoff=0)
    async def raises(step: Step) -> None:
        raise LookupError("nothing here")

    @worker
    async def cancels(step: Step) -> Cancel:
        return Cancel("not today")

    @worker
    async def snoozes(step: Step) -> Snooze | None:
        seen.append(step.attempt)
        return Snooze(0) if len(seen) == 1 else None

    seen: list[int] = []
    workflow = (
        Baton(ignore_discarded=True)
        .add("raises", raises.new())
        .add("cancels", cancels.new())
        .add("snoozes", snoozes.new())
        .add("after", works.new(), deps=["raises", "snoozes"])
    )
    async with running(dsn) as run:
        await run.workflow(workflow)

    def endings(name: str) -> list[tuple[object, ...]]:
        return [
            (
                (span.attributes or {}).get("baton.step.state"),
                (span.attributes or {}).get("error.type"),
                span.status.status_code.name,
                span.status.description,
            )
            for span in otel.spans_of(baton__step__name=name)
        ]

    failed = ("LookupError", "ERROR", "LookupError: nothing here")
    assert endings("raises") == [("retryable", *failed), ("discarded", *failed)]
    assert endings("cancels") == [("cancelled", "_OTHER", "ERROR", "not today")]
    assert endings("snoozes") == [("scheduled", None, "UNSET", None), (None, None, "UNSET", None)]
    # A dependency that failed and is ignored is linked to as well: the attempt that settled it.
    (after,) = otel.spans_of(baton__step__name="after")
    last = [otel.spans_of(baton__step__name=name)[-1] for name in ("raises", "snoozes")]
    assert links(after) == {ids(span)[1] for span in last}


async def test_several_workflows_are_one_message_batch(dsn: str, otel: Telemetry) -> None:
    async with running(dsn, queues={"default": 5, "io": 5}) as run:
        workflows = [Baton().add("a", works.new()) for _ in range(3)]
        await insert_all(workflows, engine=run.engine)
        for workflow in workflows:
            await run.end(workflow)
    (send,) = otel.spans_of(messaging__operation__type="send")
    assert send.name == "send default"
    assert (send.attributes or {})["messaging.batch.message_count"] == 3
    for span in otel.spans_of(messaging__operation__type="process"):
        assert ids(span)[0] == ids(send)[0]


async def test_an_insertion_that_fails_says_so(dsn: str, otel: Telemetry) -> None:
    workflow = Baton().add("a", works.new(), schedule_in=3600)
    async with running(dsn) as run:
        await run.insert(workflow)
        with pytest.raises(WorkflowExistsError):
            await run.insert(Baton(workflow.workflow_id).add("a", works.new()))
        await run.engine.workflow(workflow.workflow_id).cancel()
    _, failed = otel.spans_of(messaging__operation__type="send")
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "WorkflowExistsError"


async def test_baggage_goes_with_the_jobs(dsn: str, otel: Telemetry) -> None:
    """That of the insertion, through nested ones too; not that of the engine's start."""
    seen: dict[str, object] = {}

    @worker
    async def looks(step: Step) -> None:
        seen[str(step.name)] = dict(baggage.get_all())
        if step.name == "outer":
            await inner.insert()

    inner = Baton().add("inner", looks.new())
    outer = Baton().add("outer", looks.new())
    started = context.attach(baggage.set_baggage("started by", "somebody else"))
    async with running(dsn) as run:
        context.detach(started)
        tenant = context.attach(baggage.set_baggage("tenant", "7"))
        await run.insert(outer)
        context.detach(tenant)
        await run.end(outer)
        await run.end(inner)
    assert seen == {"outer": {"tenant": "7"}, "inner": {"tenant": "7"}}


PARENT = {"traceparent": f"00-{'1' * 32}-{'1' * 16}-01"}
CARRIERS: list[object] = [
    5,
    [],
    {"traceparent": None},
    {"traceparent": ["00", 1, {}]},
    {"traceparent": "x" * 100_000},
    {"traceparent": f"00-{'f' * 32}-{'0' * 16}-01"},
    {"traceparent": f"ff-{'1' * 32}-{'1' * 16}-01"},
    {"traceparent": f"00-{chr(0x663) * 32}-{'1' * 16}-01"},
    {**PARENT, "tracestate": "=,;=" * 5_000, "baggage": "%ZZ=%FF;;=,," * 900},
    {**PARENT, "tracestate": {"a": {}}, "baggage": 5},
]
METAS: list[object] = [None, "text", 5, {"workflow_label": {"x": 1}}]
METAS += [{"trace_context": carrier} for carrier in CARRIERS]
NESTED = ["[" * 3_000 + "]" * 3_000, '{"trace_context": {"x": ' + "[" * 980 + "]" * 980 + "}}"]


async def test_whatever_a_job_carries_it_is_performed_and_traced(dsn: str, otel: Telemetry) -> None:
    workflow = Baton()
    metas = [*map(json.dumps, METAS), *NESTED]
    for number in range(len(metas)):
        workflow.add(str(number), works.new(), schedule_in=3600)
    async with running(dsn) as run:
        jobs = await run.insert(workflow)
        for job, meta in zip(jobs, metas, strict=True):
            await run.tables.execute(
                "UPDATE baton.oban_jobs SET meta = $1::text::jsonb, scheduled_at = inserted_at"
                " WHERE id = $2",
                meta,
                job.id,
            )
        await run.events.until(StepCompleted, len(metas))
        assert set((await run.tables.states(workflow)).values()) == {"completed"}
        # None of them names its step any more: for the workflow its jobs are gone.
        await Plugin().sweep(run.engine.database)
        await run.end(workflow)
    assert len(otel.spans_of(messaging__operation__type="process")) == len(metas)


@worker
async def writes(step: Step) -> None:
    async with step.transaction() as conn:
        await conn.execute("SELECT 1")


async def test_a_step_in_its_own_transaction_is_linked_to(dsn: str, otel: Telemetry) -> None:
    async with running(dsn) as run:
        await run.completed(Baton().add("a", writes.new()).add("b", works.new(), deps=["a"]))
    attempts = {
        str((span.attributes or {})["baton.step.name"]): span
        for span in otel.spans_of(messaging__operation__type="process")
    }
    assert links(attempts["b"]) == {ids(attempts["a"])[1]}
