"""What steps record of their use of models and capture for debugging: checked, priced, written."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from baton.core.jsonvalue import encode
from baton.core.names import validate_label, validate_model_name, validate_provider_name
from baton.runtime.executor import job_facts
from baton.runtime.ids import new_id
from baton.steps.growth import Added
from baton.steps.pricing import price
from baton.store.statistics import record_captures, record_usage
from baton.store.store import Store
from baton.telemetry import seam
from baton.words.argument_errors import InvalidOptionError
from baton.words.events import StepUsage
from baton.words.rows import CaptureRecord, ClaimedJob, UsageRecord
from baton.words.states import JobState

_log = logging.getLogger("baton")

_MAX_BIGINT = 9_223_372_036_854_775_807


_taking = threading.Lock()


@dataclass(slots=True, eq=False)
class Notes:
    """What an attempt recorded, captured and added, and what is not written yet. A thread that
    outlives its attempt adds to it while the loop takes from it; `late` is called for what comes
    after that.
    """

    usage: list[UsageRecord] = field(default_factory=list[UsageRecord])
    captures: list[CaptureRecord] = field(default_factory=list[CaptureRecord])
    late: Callable[[], None] | None = None
    added: Added | None = None

    def add(self, record: UsageRecord | CaptureRecord) -> None:
        with _taking:
            if isinstance(record, UsageRecord):
                self.usage.append(record)
            else:
                self.captures.append(record)
        if self.late is not None:
            self.late()

    def adopt(self, notes: Notes) -> None:
        """Take over what came back from another process; in a thread it is the same object."""
        self.usage, self.captures = notes.usage, notes.captures

    def take(self, late: Callable[[], None]) -> tuple[list[UsageRecord], list[CaptureRecord]]:
        """What there is, once; from now on `late` is called."""
        with _taking:
            taken = self.usage, self.captures
            self.usage, self.captures = [], []
            self.late = late
        return taken


def usage_record(
    model: str | None,
    provider: str | None,
    input_tokens: int,
    output_tokens: int,
    cache_read_tokens: int,
    cache_write_tokens: int,
    latency_ms: int | None,
) -> UsageRecord:
    """A checked use of a model with its price. Raises InvalidOptionError, InvalidNameError."""
    if model is None:
        raise InvalidOptionError(
            "model", None, "the model's name: this step has none of its own, so tell model='…'"
        )
    tokens = {
        "input_tokens": _count("input_tokens", input_tokens),
        "output_tokens": _count("output_tokens", output_tokens),
        "cache_read_tokens": _count("cache_read_tokens", cache_read_tokens),
        "cache_write_tokens": _count("cache_write_tokens", cache_write_tokens),
    }
    cached = tokens["cache_read_tokens"] + tokens["cache_write_tokens"]
    if cached > tokens["input_tokens"]:
        raise InvalidOptionError(
            "input_tokens",
            input_tokens,
            f"at least the {cached} cached ones: input_tokens includes what was read from and "
            "written to a cache; where an API counts those apart, as Anthropic's does, give "
            "input_tokens=input + cache_read + cache_write",
        )
    model = validate_model_name(model)
    if provider is not None:
        provider = validate_provider_name(provider)
    return UsageRecord(
        new_id(),
        model,
        provider,
        **tokens,
        latency_ms=None if latency_ms is None else _count("latency_ms", latency_ms),
        cost=price(model, provider, **tokens),
    )


def capture_record(label: str, content: object, limit: int) -> CaptureRecord:
    """Checked content of a debug log. Raises InvalidNameError, NotStorableError, TooLargeError."""
    label = validate_label(label)
    # A capture is read by people: what it shows of a model need not be read back as one.
    text = encode(content, what="the capture", limit=limit, lossy=True)
    return CaptureRecord(new_id(), label, text)


async def write_usage(database: Store, job: ClaimedJob, *records: UsageRecord) -> None:
    """Write and tell records of one attempt; a cancellation does not stop it. What the database
    refuses is logged, not raised.
    """
    if records:
        await _unstopped(_write_usage(database, job, records))


async def write_captures(database: Store, job: ClaimedJob, *records: CaptureRecord) -> None:
    """Write captures of one attempt, as `write_usage` does."""
    if records:
        await _unstopped(_write_captures(database, job, records))


async def write_notes(database: Store, job: ClaimedJob, notes: Notes) -> None:
    """Write what an attempt collected, and in time what its thread still adds."""
    loop = asyncio.get_running_loop()

    def late() -> None:
        try:
            loop.call_soon_threadsafe(lambda: _begin(write_notes(database, job, notes)))
        except RuntimeError:
            _log.warning("the event loop is closed: what job %s recorded is lost", job.id)

    usage, captures = notes.take(late)
    await write_usage(database, job, *usage)
    for capture in captures:
        # One at a time: together they may be more than a statement takes.
        await write_captures(database, job, capture)


async def _write_usage(database: Store, job: ClaimedJob, records: Sequence[UsageRecord]) -> None:
    try:
        await record_usage(database, job, records)
    except Exception:
        _log.exception("%s of job %s was not recorded", records, job.id)
        return
    if seam.active:
        shared = job_facts(database.engine, job)
        for record in records:
            facts = record._asdict()
            del facts["id"]
            seam.emit(StepUsage(**shared, state=JobState.EXECUTING, **facts))


async def _write_captures(
    database: Store, job: ClaimedJob, records: Sequence[CaptureRecord]
) -> None:
    try:
        await record_captures(database, job, records)
    except Exception:
        labels = [record.label for record in records]
        _log.exception("captures %s of job %s were not written", labels, job.id)


# The loop alone would not keep a task alive.
_writing: set[asyncio.Task[None]] = set()


def _begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    _writing.add(task)
    task.add_done_callback(_writing.discard)
    return task


async def _unstopped(work: Coroutine[Any, Any, None]) -> None:
    # A timeout that hits the step now must not lose tokens that were used.
    await asyncio.shield(_begin(work))


def _count(option: str, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= _MAX_BIGINT:
        expected = f"a whole number from 0 to {_MAX_BIGINT}"
        if isinstance(given, float) and 0 <= given <= _MAX_BIGINT:
            expected += f": {option}={round(given)}"
        raise InvalidOptionError(option, given, expected)
    return int(given)
