"""What people did to workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class NewAction(NamedTuple):
    """An action as it is carried out. `details` is what was asked for, `result` what came of it."""

    workflow_id: UUID
    action: str
    actor: str | None
    reason: str | None
    run: int
    step: str | None = None
    details: Mapping[str, Any] = {}
    result: Mapping[str, Any] = {}
    bulk_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody did to a workflow, or to one `step` of it. `actor` is what `by=` named, `run`
    the workflow's run after it; `done_at` is UTC, by the database's clock. `bulk_id` is the
    operation on many workflows that it was part of.
    """

    action_id: int
    workflow_id: UUID
    action: str
    step: str | None
    actor: str | None
    reason: str | None
    run: int
    done_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])
    bulk_id: UUID | None = None
