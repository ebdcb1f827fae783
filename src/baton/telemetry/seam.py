"""The one seam through which everything that happens is told. Subscribers get typed event records;
a tracer surrounds what takes time with spans.

`active` is False while nobody subscribes, `tracer` is None while nobody traces; callers check them
before they build a record, so that silence costs one attribute look-up.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from uuid import UUID

from baton.words.argument_errors import InvalidArgumentError
from baton.words.events import Event
from baton.words.rows import ClaimedJob, NewWorkflow, Outcome
from baton.words.states import Delivery

Subscriber = Callable[[Event], None]


class Attempt(Protocol):
    """The span of one attempt, current in the context that it was begun in."""

    def end(self, outcome: Outcome) -> str | None:
        """End the span; its context as a W3C traceparent, for the steps that depend on this one."""
        ...


class Span(Protocol):
    """A span around a piece of work."""

    def end(self, error: BaseException | None) -> None: ...


class EventSpan(Span, Protocol):
    """The span around the sending of an event. `trace` is its context as a W3C traceparent, for
    who receives the event; `delivery` is set before the end, when it is known.
    """

    trace: str | None
    delivery: Delivery | None


class Tracer(Protocol):
    """Makes spans. What it raises is logged and hurts nobody. `engine` is the name of the engine at
    work, None where none is.
    """

    def insert(self, engine: str | None, workflows: Sequence[NewWorkflow]) -> Span:
        """Workflows are about to be inserted; the span becomes current."""
        ...

    def attempt(self, engine: str, job: ClaimedJob) -> Attempt:
        """A job is about to be performed; the span becomes current."""
        ...

    def settle(self, engine: str, outcomes: Sequence[Outcome]) -> Span:
        """A batch is about to be settled."""
        ...

    def send_event(
        self, engine: str | None, name: str, workflow_id: UUID | None, key: str | None
    ) -> EventSpan:
        """An event is about to be sent, to a workflow or by a key; the span becomes current."""
        ...

    def link_attempt(self, traces: Sequence[str]) -> None:
        """The attempt that runs in the current context has received events from these spans."""
        ...

    def attempt_trace(self) -> str | None:
        """The context of the attempt that runs in the current context, as a W3C traceparent."""
        ...

    def carried(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """A call that another process makes, with the current span there; it can be pickled where
        `call` can.
        """
        ...


S = TypeVar("S", bound=Span)

active = False
tracer: Tracer | None = None

_subscribers: tuple[Subscriber, ...] = ()
_log = logging.getLogger("baton")

# The process ends. All else was raised by what is called here: nothing waits, so that not even a
# CancelledError can be meant for the task.
_ENDS = (KeyboardInterrupt, SystemExit)


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Call `subscriber(event)` for every event of this process, in the loop that emits it; it must
    not block.

    Returns a function that unsubscribes. A subscriber that raises is logged and hurts nobody.
    Raises InvalidArgumentError for what is no plain function of one event.
    """
    _check(subscriber)
    _replace((*_subscribers, subscriber))

    def unsubscribe() -> None:
        _replace(tuple(s for s in _subscribers if s is not subscriber))

    return unsubscribe


def _check(given: object) -> None:
    asynchronous = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    called = given if inspect.isroutine(given) else getattr(given, "__call__", given)  # noqa: B004
    if callable(given) and not any(check(one) for check in asynchronous for one in (given, called)):
        try:
            inspect.signature(given).bind(None)
        except ValueError:
            # Written in C: it does not tell what it takes.
            return
        except TypeError:
            pass
        else:
            return
    expected = (
        "a plain function of one event, called in the event loop; start a task in it for async work"
    )
    raise InvalidArgumentError("subscriber", given, expected)


def trace_with(chosen: Tracer | None) -> None:
    """Have this tracer, or none, make the spans of this process."""
    global tracer
    tracer = chosen


def emit(event: Event) -> None:
    """Tell every subscriber."""
    for subscriber in _subscribers:
        try:
            subscriber(event)
        except _ENDS:
            raise
        except BaseException:
            _log.exception("a telemetry subscriber failed on %s", event.EVENT)


def begin_attempt(engine: str, job: ClaimedJob) -> Attempt | None:
    """Begin the span of an attempt, where somebody traces."""
    if tracer is None:
        return None
    try:
        return tracer.attempt(engine, job)
    except _ENDS:
        raise
    except BaseException:
        _log.exception("the tracer failed on job %s", job.id)
        return None


def end_attempt(attempt: Attempt, outcome: Outcome) -> Outcome:
    """End the span of an attempt; the outcome with its trace."""
    try:
        return outcome._replace(trace=attempt.end(outcome))
    except _ENDS:
        raise
    except BaseException:
        _log.exception("the tracer failed on job %s", outcome.job_id)
        return outcome


def link_attempt(traces: Sequence[str]) -> None:
    """Link the running attempt to the senders of what it received, where somebody traces."""
    try:
        if tracer is not None:
            tracer.link_attempt(traces)
    except _ENDS:
        raise
    except BaseException:
        _log.exception("the tracer failed")


def attempt_trace() -> str | None:
    """The context of the running attempt as a W3C traceparent, where somebody traces."""
    try:
        return None if tracer is None else tracer.attempt_trace()
    except _ENDS:
        raise
    except BaseException:
        _log.exception("the tracer failed")
        return None


def carried(call: Callable[[], Any]) -> Callable[[], Any]:
    """A call for another process, with the current span there, where somebody traces."""
    try:
        return call if tracer is None else tracer.carried(call)
    except _ENDS:
        raise
    except BaseException:
        _log.exception("the tracer failed")
        return call


@contextmanager
def spanned(begin: Callable[[Tracer], S]) -> Generator[S | None, None, None]:
    """Surround a block with a span, where somebody traces; gives it, or None."""
    span: S | None = None
    try:
        span = None if tracer is None else begin(tracer)
    except _ENDS:
        raise
    except BaseException:
        _log.exception("the tracer failed")
    error: BaseException | None = None
    try:
        yield span
    except BaseException as raised:
        error = raised
        raise
    finally:
        try:
            if span is not None:
                span.end(error)
        except _ENDS:
            raise
        except BaseException:
            _log.exception("the tracer failed")


def _replace(subscribers: tuple[Subscriber, ...]) -> None:
    global active, _subscribers
    _subscribers = subscribers
    active = bool(subscribers)
