"""One call feeds OpenTelemetry from Baton's events."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from opentelemetry._logs import LoggerProvider, get_logger
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import TracerProvider, get_tracer

from baton.contrib.otel.logs import EventLogger
from baton.contrib.otel.metrics import Metrics
from baton.contrib.otel.spans import SpanMaker
from baton.telemetry import seam
from baton.words.events import Event

SCOPE = "baton"

_latest: list[Callable[[], None]] = []


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    spans: bool = True,
    metrics: bool = True,
    events: bool = True,
) -> Callable[[], None]:
    """Feed OpenTelemetry from everything Baton does in this process; call it once, when the SDK has
    been set up. The global providers are used unless others are given.

    `spans`: one for each insertion (PRODUCER), attempt (CONSUMER) and settled batch (CLIENT).
    `metrics`: see docs/telemetry.md for their names. `events`: a log record for each event, with
    the event's name. Returns a function that undoes it; a second call undoes the first.
    """
    global _latest
    _all(_latest)
    undo: list[Callable[[], None]] = []
    _latest = undo
    release = version("baton-workflows")
    listeners: list[Callable[[Event], None]] = []
    if spans:
        maker = SpanMaker(get_tracer(SCOPE, release, tracer_provider))
        seam.trace_with(maker)
        undo.append(lambda: seam.trace_with(None))
    if metrics:
        listeners.append(Metrics(get_meter(SCOPE, release, meter_provider)))
    if events:
        listeners.append(EventLogger(get_logger(SCOPE, release, logger_provider)))
    undo.extend(seam.subscribe(listener) for listener in listeners)

    return lambda: _all(undo)


def _all(undo: list[Callable[[], None]]) -> None:
    while undo:
        undo.pop()()
