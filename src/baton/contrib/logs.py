"""Baton's events as log lines, for people or for machines.

from baton.contrib.logs import log_events

log_events()            # "baton.step.completed step=fetch worker=…", on the logger "baton.events"
log_events(json=True)   # one JSON object in each line
"""

from __future__ import annotations

import json as jsonlib
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TextIO

from baton.engine.telemetry import subscribe
from baton.words.events import Event, QueueObserved, StepExecuting, SweepFinished

_DETAILS = (QueueObserved, StepExecuting, SweepFinished)


def log_events(
    logger: logging.Logger | None = None,
    *,
    json: bool = False,
    level: int = logging.INFO,
    stream: TextIO | None = None,
) -> Callable[[], None]:
    """Log every event of this process; returns a function that stops it.

    What went wrong is a WARNING, a step's beginning and the regular looks are DEBUG, the rest is
    INFO; `level` is the least that is written. With a `logger` of yours its own handlers write, and
    each record has the event as `record.event`; without one, lines go to `stream` (standard error).
    A line is text for people, or with `json` one JSON object.
    """
    target = _own_logger(stream, level) if logger is None else logger
    line = _json_line if json else _text_line

    def write(event: Event) -> None:
        severity = _severity(event)
        if severity >= level and target.isEnabledFor(severity):
            target.log(severity, "%s", line(event), extra={"event": event})

    return subscribe(write)


def _own_logger(stream: TextIO | None, level: int) -> logging.Logger:
    # Not in the tree of loggers: calling twice must not write twice, nor a root handler once more.
    logger = logging.Logger("baton.events", level)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    return logger


def _severity(event: Event) -> int:
    if event.WARNS:
        return logging.WARNING
    return logging.DEBUG if isinstance(event, _DETAILS) else logging.INFO


def _facts(event: Event) -> dict[str, object]:
    found = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: value for name, value in found.items() if value is not None}


def _text_line(event: Event) -> str:
    now = datetime.now(UTC).isoformat(sep=" ", timespec="milliseconds")
    facts = " ".join(f"{name}={_shown(value)}" for name, value in _facts(event).items())
    return f"{now} {event.EVENT} {facts}".rstrip()


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    # A text with spaces, quotes or line breaks is quoted, so that a line stays one line.
    text = str(value)
    plain = text.isprintable() and not any(character in text for character in ' ="')
    return text if plain and text else jsonlib.dumps(text, ensure_ascii=not text.isprintable())


def _json_line(event: Event) -> str:
    record = {"time": datetime.now(UTC).isoformat(), "event": event.EVENT, **_facts(event)}
    return jsonlib.dumps(record, default=_jsonable)


def _jsonable(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
