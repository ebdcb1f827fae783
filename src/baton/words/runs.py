"""What a retry does, and what it replaces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class RetryMode(StrEnum):
    """Which steps a retry begins anew."""

    FAILED = "failed"
    """Those that were cancelled or discarded, those that a dependency's failure cancelled too."""
    FAILED_AND_DOWNSTREAM = "failed_and_downstream"
    """These, and what completed below them because it ignores failures."""
    ALL = "all"
    """Every step."""


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did: the run that goes on, and how many steps it put back to their beginning."""

    run: int
    steps: int


@dataclass(frozen=True, slots=True)
class StepHistory:
    """How far a step had come in a `run` before a retry put it back. Times are UTC.

    `state` is the state it had settled in, None where it had not; `result` its result as plain JSON
    values, `error` its last error, capped.
    """

    history_id: int
    workflow_id: UUID
    step: str
    run: int
    state: str | None
    result: Any
    error: str | None
    attempt: int | None
    attempted_at: datetime | None
    ended_at: datetime | None
    replaced_at: datetime
