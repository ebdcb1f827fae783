"""Spans of insertions, attempts, settlements and events, by the messaging conventions.

One trace goes from the span in which a workflow was inserted through all of its steps, in whichever
process they run: the job carries the context of its insertion, which is the parent of every
attempt. A step links to the attempts that settled its dependencies, and to the senders of the
events that it or a wait step above it received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)

from baton.runtime.meta import read_meta
from baton.words.rows import ClaimedJob, NewWorkflow, Outcome
from baton.words.states import Delivery, JobState

_ATTEMPT = context.create_key("baton-attempt")

_FAILURES = frozenset({JobState.RETRYABLE, JobState.DISCARDED, JobState.CANCELLED})


class SpanMaker:
    """Makes the spans; the engine's tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def insert(self, engine: str | None, workflows: Sequence[NewWorkflow]) -> CurrentSpan:
        """The span of an insertion, current; its context travels in the jobs."""
        queues = Counter(step.queue for workflow in workflows for step in workflow.steps)
        attributes: dict[str, str | int] = {
            "messaging.system": "baton",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.batch.message_count": queues.total(),
            "baton.workflow.count": len(workflows),
        }
        if engine is not None:
            attributes["baton.engine"] = engine
        name = "send"
        if len(queues) == 1:
            (attributes["messaging.destination.name"],) = queues
            name = f"send {attributes['messaging.destination.name']}"
        if len(workflows) == 1:
            attributes["baton.workflow.id"] = str(workflows[0].workflow_id)
            if workflows[0].workflow_name is not None:
                attributes["baton.workflow.name"] = workflows[0].workflow_name
        return CurrentSpan(
            self._tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)
        )

    def attempt(self, engine: str, job: ClaimedJob) -> AttemptSpan:
        """The span of an attempt, current: a child of the insertion's."""
        node = job.node
        attributes: dict[str, str | int] = {
            "messaging.system": "baton",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": job.queue,
            "messaging.message.id": str(job.id),
            "baton.engine": engine,
            "baton.worker": job.worker,
            "baton.job.attempt": job.attempt,
        }
        meta = read_meta(job.meta)
        if node is not None:
            attributes["baton.workflow.id"] = str(node.workflow_id)
            attributes["baton.step.name"] = node.name
            name = meta.get("workflow_label")
            if isinstance(name, str):
                attributes["baton.workflow.name"] = name
        carried = _carried(meta.get("trace_context"))
        span = self._tracer.start_span(
            f"process {job.queue}",
            context=carried,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=_links(job.links),
        )
        return AttemptSpan(span, carried)

    def settle(self, engine: str, outcomes: Sequence[Outcome]) -> PlainSpan:
        """The span of a batch, which belongs to many traces: it links to the attempts it settles,
        and is a root of its own.
        """
        return PlainSpan(
            self._tracer.start_span(
                "settle",
                context=Context(),
                kind=SpanKind.CLIENT,
                attributes={
                    "messaging.system": "baton",
                    "messaging.operation.name": "settle",
                    "messaging.operation.type": "settle",
                    "messaging.batch.message_count": len(outcomes),
                    "baton.engine": engine,
                },
                links=_links([outcome.trace for outcome in outcomes if outcome.trace]),
            )
        )

    def send_event(
        self, engine: str | None, name: str, workflow_id: UUID | None, key: str | None
    ) -> EventSpan:
        """The span of an event that is sent, current; its context is kept with the event."""
        attributes: dict[str, str] = {
            "messaging.system": "baton",
            "messaging.operation.name": "send_event",
            "messaging.operation.type": "send",
            "baton.event.name": name,
        }
        if engine is not None:
            attributes["baton.engine"] = engine
        if workflow_id is not None:
            attributes["baton.workflow.id"] = str(workflow_id)
        if key is not None:
            attributes["baton.correlation_key"] = key
        return EventSpan(
            self._tracer.start_span(
                f"send_event {name}", kind=SpanKind.PRODUCER, attributes=attributes
            )
        )

    def carried(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """A call that finds the current span in another process."""
        carrier: dict[str, str] = {}
        inject(carrier)
        return partial(_in_context, carrier, call)

    def link_attempt(self, traces: Sequence[str]) -> None:
        """Not to the current span: the step's code may have begun one of its own."""
        span = context.get_value(_ATTEMPT)
        if isinstance(span, Span):
            for traceparent in traces:
                span.add_link(_span_context(traceparent))

    def attempt_trace(self) -> str | None:
        """Not of the current span, as in `link_attempt`."""
        span = context.get_value(_ATTEMPT)
        return _traceparent(span.get_span_context()) if isinstance(span, Span) else None


class PlainSpan:
    """A span around a piece of work."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, error: BaseException | None) -> None:
        if error is not None:
            name = type(error).__qualname__
            self._span.set_attribute("error.type", name)
            self._span.set_status(Status(StatusCode.ERROR, name))
        self._span.end()


class CurrentSpan(PlainSpan):
    """A span that is current until it ends."""

    def __init__(self, span: Span) -> None:
        super().__init__(span)
        self._token = context.attach(trace.set_span_in_context(span))

    def end(self, error: BaseException | None) -> None:
        context.detach(self._token)
        super().end(error)


class EventSpan(CurrentSpan):
    """The span of an event that is sent."""

    def __init__(self, span: Span) -> None:
        super().__init__(span)
        self.trace = _traceparent(span.get_span_context())
        self.delivery: Delivery | None = None

    def end(self, error: BaseException | None) -> None:
        if self.delivery is not None:
            self._span.set_attribute("baton.event.delivery", self.delivery.value)
        super().end(error)


class AttemptSpan:
    """The span of one attempt; current in its task, which is over when the span ends. Its context
    is the one that the job carries, with its baggage, not the one that the engine was started in.
    """

    def __init__(self, span: Span, carried: Context) -> None:
        self._span = span
        known = context.set_value(_ATTEMPT, span, carried)
        context.attach(trace.set_span_in_context(span, known))

    def end(self, outcome: Outcome) -> str | None:
        span = self._span
        if outcome.state is not JobState.COMPLETED:
            span.set_attribute(
                "baton.step.state", "skipped" if outcome.skipped else outcome.state.value
            )
            if outcome.state in _FAILURES and not outcome.skipped:
                title = (outcome.error or "").split("\n", 1)[0]
                span.set_attribute("error.type", error_type(title))
                span.set_status(Status(StatusCode.ERROR, title[:200]))
        span.end()
        return _traceparent(span.get_span_context())


def error_type(title: str) -> str:
    """The class of an error, as the first line of its description begins; `_OTHER` for a reason in
    words.
    """
    name = title.split(":", 1)[0]
    return name if name.replace(".", "").isidentifier() else "_OTHER"


def _carried(carrier: object) -> Context:
    """The context that a job carries; an empty one when it carries none."""
    if not isinstance(carrier, Mapping):
        return Context()
    items = tuple(sorted((str(key), str(value)) for key, value in carrier.items()))
    return _extracted(items)


# All jobs of a workflow carry the same.
@lru_cache(maxsize=4096)
def _extracted(carrier: tuple[tuple[str, str], ...]) -> Context:
    return extract(dict(carrier), context=Context())


def _links(traceparents: Sequence[str]) -> list[Link]:
    return [Link(_span_context(traceparent)) for traceparent in traceparents]


def _span_context(traceparent: str) -> SpanContext:
    """What `_traceparent` wrote; the propagator for carriers takes ten times as long."""
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))


def _traceparent(span: SpanContext) -> str | None:
    """As W3C Trace Context has it (https://www.w3.org/TR/trace-context/, version 00)."""
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def _in_context(carrier: Mapping[str, str], call: Callable[[], Any]) -> Any:
    token = context.attach(extract(carrier))
    try:
        return call()
    finally:
        context.detach(token)
