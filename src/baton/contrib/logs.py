"""Baton's events as log lines, for people or for machines.

from baton.contrib.logs import log_events

log_events()            # "baton.step.completed step=fetch worker=…", on the logger "baton.events"
log_events(json=True)   # one JSON object in each line
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from baton.telemetry.event_lines import event_facts, event_line, event_severity, json_line
from baton.telemetry.seam import subscribe
from baton.words.events import Event


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
    line = _json_line if json else _dated_line

    def write(event: Event) -> None:
        severity = event_severity(event)
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


def _dated_line(event: Event) -> str:
    now = datetime.now(UTC).isoformat(sep=" ", timespec="milliseconds")
    return f"{now} {event_line(event)}"


def _json_line(event: Event) -> str:
    now = datetime.now(UTC).isoformat()
    return json_line({"time": now, "event": event.EVENT, **event_facts(event)})
