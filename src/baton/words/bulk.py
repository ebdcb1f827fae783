"""What people do to many workflows at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class BulkState(StrEnum):
    """How far a bulk operation has come."""

    RUNNING = "running"
    """It is under way, or whoever was at it has died: `engine.resume_bulk` goes on."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class BulkFailure:
    """A workflow that refused the verb, and why."""

    workflow_id: UUID
    error: str


@dataclass(frozen=True, slots=True)
class Bulk:
    """An operation on all workflows that match a filter, and how far it has come.

    `matched` is how many there were when it began. Each of them ends up in one of the other counts:
    `done` by the `action`, `passed` by because it had left the state of the filter meanwhile or had
    nothing to be done, or `failed`, the first of them in `failures`. Times are UTC, by the
    database's clock.
    """

    bulk_id: UUID
    action: str
    state: BulkState
    filter: Mapping[str, Any]
    options: Mapping[str, Any]
    actor: str | None
    reason: str | None
    matched: int
    done: int
    passed: int
    failed: int
    failures: tuple[BulkFailure, ...]
    started_at: datetime
    finished_at: datetime | None
