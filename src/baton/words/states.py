"""States of jobs (Oban's, unchanged) and of settled steps, and outcomes of workflows."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """State of an `oban_jobs` row."""

    AVAILABLE = "available"
    SUSPENDED = "suspended"
    SCHEDULED = "scheduled"
    EXECUTING = "executing"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"


def state_of(text: str) -> JobState:
    """A state as the database has it. One that only a newer Oban knows keeps its name: a job in it
    has not ended and is somebody else's, as one that executes.
    """
    try:
        return JobState(text)
    except ValueError:
        unknown = str.__new__(JobState, text)
        unknown._name_, unknown._value_ = text.upper(), text
        return unknown


TERMINAL_STATES = frozenset({JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED})


class StepState(StrEnum):
    """How a step settled."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    SKIPPED = "skipped"
    """There was nothing to do. It is no failure; its job is cancelled."""


FAILED_STATES = frozenset({StepState.CANCELLED, StepState.DISCARDED})


class WorkflowOutcome(StrEnum):
    """How a workflow ended."""

    COMPLETED = "completed"
    """No step was cancelled or discarded."""
    FAILED = "failed"
    """A step was discarded."""
    CANCELLED = "cancelled"
    """A step was cancelled, by request or by itself, and none was discarded."""


class Delivery(StrEnum):
    """What became of an event that was sent."""

    SETTLED = "settled"
    """It was the last one that a wait needed: the wait is over."""
    DELIVERED = "delivered"
    """A wait took it, and needs more."""
    BUFFERED = "buffered"
    """Nobody waits for it (yet, or any more): it is kept for a wait to come."""
    DUPLICATE = "duplicate"
    """An event of this name and `dedupe_id` was sent before: nothing changed."""


class OnTimeout(StrEnum):
    """What a wait step does when its time is over."""

    RESULT = "result"
    """It completes; its result says that time was over."""
    CANCEL = "cancel"
    """Its step is cancelled."""
    DISCARD = "discard"
    """Its step is discarded."""
