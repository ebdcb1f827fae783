"""Every event as a log record with the event's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal

from opentelemetry._logs import Logger, SeverityNumber

from baton.words.events import Event, StepUsage

Value = str | int | float | bool


class EventLogger:
    """A subscriber that writes log records."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def __call__(self, event: Event) -> None:
        warns = event.WARNS
        self._logger.emit(
            severity_number=SeverityNumber.WARN if warns else SeverityNumber.INFO,
            severity_text="WARN" if warns else "INFO",
            attributes=attributes(event),
            event_name=event.EVENT,
        )


def attributes(event: Event) -> dict[str, Value | list[Value]]:
    """The facts of an event under the names of their attributes; those without a value are left
    out.
    """
    found: dict[str, Value | list[Value]] = {}
    for field, name in _names(type(event)):
        value = getattr(event, field)
        if value is None:
            continue
        if isinstance(value, Mapping):
            for key, part in value.items():
                found[f"{name}.{key}"] = part
        elif isinstance(value, tuple):
            found[name] = list(value)
        elif isinstance(value, Decimal):
            found[name] = float(value)
        elif isinstance(value, (int, float)):
            found[name] = value
        else:
            found[name] = str(value)
    return found


_RENAMED = {
    "queue": "messaging.destination.name",
    "job_id": "messaging.message.id",
    "workflow_id": "baton.workflow.id",
    "workflow_name": "baton.workflow.name",
    "step": "baton.step.name",
    "state": "baton.step.state",
    "attempt": "baton.job.attempt",
}


# OpenTelemetry's conventions for generative AI (semantic conventions 1.37, in development).
GEN_AI = {
    "model": "gen_ai.request.model",
    "provider": "gen_ai.provider.name",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
}

_NAMES: dict[type[Event], tuple[tuple[str, str], ...]] = {}


def _names(kind: type[Event]) -> tuple[tuple[str, str], ...]:
    names = _NAMES.get(kind)
    if names is None:
        renamed = {**_RENAMED, **GEN_AI} if kind is StepUsage else _RENAMED
        names = _NAMES[kind] = tuple(
            (field.name, renamed.get(field.name, f"baton.{field.name}")) for field in fields(kind)
        )
    return names
