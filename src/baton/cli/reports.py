"""What `baton worker` writes about its work: lines for people, or JSON objects for machines."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby

from baton.cli.reporting import say
from baton.telemetry.event_lines import event_facts, event_line, event_severity, json_line
from baton.telemetry.seam import subscribe
from baton.words.events import (
    ConnectionLost,
    EngineStarted,
    EngineStopped,
    Event,
    StepDiscarded,
    StepRetryable,
    StepSettled,
    WorkflowFinished,
)

SUMMARY_INTERVAL = 60.0
"""Seconds between two summaries of what was done."""

LOGGED = (ConnectionLost, EngineStopped, StepDiscarded, StepRetryable)
"""Events that the logger "baton" writes about in its own words."""

_log = logging.getLogger("baton.worker")
_events = logging.getLogger("baton.events")


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


def set_up_logging(verbosity: int, log_format: LogFormat | None) -> None:
    """Have Python's logging write to the standard error. Where the operator's module has set up
    handlers of its own, they stay, unless a format was asked for.
    """
    baton = logging.getLogger("baton")
    if verbosity > 1 or baton.level == logging.NOTSET:
        baton.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
    asked = log_format is not None
    if logging.root.handlers and not asked:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if log_format is LogFormat.JSON
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=asked)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object in one line: time, level, logger and message, the facts of its
    event, and the traceback where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            facts |= {"event": event.EVENT, **event_facts(event)}
        facts |= getattr(record, "facts", {})
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json_line(facts)


class Report:
    """Writes what an engine does: its start and end, what goes wrong, and once a minute how much
    was done; with `verbosity` 1 every ended step and workflow, with 2 every event.
    """

    def __init__(self, verbosity: int) -> None:
        self._least = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
        self._done: Counter[tuple[str, str]] = Counter()
        self._running = False

    @contextmanager
    def open(self) -> Generator[None]:
        """Write while this is open; at its end what was done since the last summary."""
        unsubscribe = subscribe(self._write)
        try:
            yield
        finally:
            unsubscribe()
            self.summarise()

    async def summaries(self) -> None:
        """Summarise again and again."""
        while True:
            await asyncio.sleep(SUMMARY_INTERVAL)
            self.summarise()

    def summarise(self) -> None:
        """Write how much was done since the last time, if anything was."""
        done, self._done = self._done, Counter()
        if done:
            groups = [
                f"{what}: {', '.join(f'{count} {how}' for (_, how), count in ended)}"
                for what, ended in groupby(sorted(done.items()), key=lambda item: item[0][0])
            ]
            counts = {f"{what} {how}": count for (what, how), count in done.items()}
            text = "; ".join(groups)
            _log.info("since the last summary: %s", text, extra={"facts": {"counts": counts}})

    def _write(self, event: Event) -> None:
        if isinstance(event, StepSettled):
            self._done["steps", event.EVENT.rpartition(".")[2]] += 1
        elif isinstance(event, WorkflowFinished):
            self._done["workflows", str(event.outcome)] += 1
        extra = {"event": event}
        if isinstance(event, EngineStarted):
            self._running = True
            queues = ", ".join(event.queues) or "none"
            _log.info("the engine %r runs, queues: %s", event.engine, queues, extra=extra)
        elif isinstance(event, EngineStopped) and self._running:
            _log.info("the engine %r has stopped", event.engine, extra=extra)
        elif isinstance(event, LOGGED):
            return
        elif (severity := event_severity(event)) >= self._least:
            _events.log(severity, "%s", event_line(event), extra=extra)


def notice(log_format: LogFormat | None) -> Callable[[str], None]:
    """How to write a line from a signal's handler, which must not take the locks of logging."""
    if log_format is not LogFormat.JSON:
        return say

    def write(text: str) -> None:
        now = datetime.now(UTC).isoformat()
        line = {"time": now, "level": "INFO", "logger": "baton.worker", "message": text}
        os.write(sys.stderr.fileno(), f"{json_line(line)}\n".encode())

    return write
