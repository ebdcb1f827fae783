"""What all event records have in common, and all those of one job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from baton.words.states import JobState


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all event records. `engine` is the name of the engine of this process that did what
    the event tells; None where none was involved: `insert(conn=…)` while no engine runs, a plugin
    that runs alone.
    """

    EVENT: ClassVar[str] = "baton.event"
    WARNS: ClassVar[bool] = False
    """Whether something went wrong, for whoever writes it into a log."""

    engine: str | None


@dataclass(frozen=True, slots=True)
class StepEvent(Event):
    """Something happened to one job; the workflow fields are None for a job outside a workflow."""

    job_id: int
    worker: str
    queue: str
    state: JobState
    attempt: int
    workflow_id: UUID | None
    workflow_name: str | None
    step: str | None
