"""Job states (Oban's, unchanged) and workflow outcomes."""

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


TERMINAL_STATES = frozenset({JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED})


class WorkflowOutcome(StrEnum):
    """How a workflow ended: `failed` when any step is cancelled or discarded."""

    COMPLETED = "completed"
    FAILED = "failed"
