"""A real OpenTelemetry SDK that keeps everything in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from baton.contrib.otel import instrument


class Telemetry:
    """What came out of the SDK."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.logger_provider = LoggerProvider()
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self._metrics = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._metrics])

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._spans.get_finished_spans()

    def spans_of(self, **attributes: object) -> list[ReadableSpan]:
        """The spans that have these attributes; `__` stands for a dot."""
        wanted = {name.replace("__", "."): value for name, value in attributes.items()}
        return [
            span
            for span in self.spans
            if all((span.attributes or {}).get(name) == value for name, value in wanted.items())
        ]

    @property
    def events(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Names and attributes of the log records."""
        records = [entry.log_record for entry in self._logs.get_finished_logs()]
        return [(str(record.event_name), record.attributes or {}) for record in records]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and data points of a metric."""
        data = self._metrics.get_metrics_data()
        if data is None:
            return []
        return [
            (dict(point.attributes or {}), point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@contextmanager
def instrumented() -> Iterator[Telemetry]:
    """Everything Baton does in the block, as OpenTelemetry gets it."""
    made = Telemetry()
    undo = instrument(
        tracer_provider=made.tracer_provider,
        meter_provider=made.meter_provider,
        logger_provider=made.logger_provider,
    )
    try:
        yield made
    finally:
        undo()
        made.meter_provider.shutdown()
        made.logger_provider.shutdown()
        made.tracer_provider.shutdown()
