"""Events as lines of a log: their level, their facts, as text or as one JSON object."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields

from baton.words.events import Event, QueueObserved, StepExecuting, SweepFinished, WaitsObserved

_DETAILS = (QueueObserved, StepExecuting, SweepFinished, WaitsObserved)


def event_severity(event: Event) -> int:
    """The level of logging at which an event is written."""
    if event.WARNS:
        return logging.WARNING
    return logging.DEBUG if isinstance(event, _DETAILS) else logging.INFO


def event_facts(event: Event) -> dict[str, object]:
    """The fields of an event that have a value."""
    found = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: value for name, value in found.items() if value is not None}


def event_line(event: Event) -> str:
    """An event as one line of text, without a time."""
    facts = " ".join(f"{name}={_shown(value)}" for name, value in event_facts(event).items())
    return f"{event.EVENT} {facts}".rstrip()


def json_line(facts: Mapping[str, object]) -> str:
    """Facts as one JSON object in one line; what JSON does not know as its text."""
    return json.dumps(facts, default=_jsonable)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    # A text with spaces, quotes or line breaks is quoted, so that a line stays one line.
    text = str(value)
    plain = text.isprintable() and not any(character in text for character in ' ="')
    return text if plain and text else json.dumps(text, ensure_ascii=not text.isprintable())


def _jsonable(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
