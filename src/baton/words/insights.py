"""What the insights tell. Times are aware UTC datetimes, ages seconds by the database's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from baton.words.rows import Completion
from baton.words.states import JobState, StepState


class WorkflowState(StrEnum):
    """Whether a workflow has ended, and how: `running` until its completion is recorded."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """One workflow. `duration` is in seconds, to its end or, while it runs, until now.

    One that is running with no outstanding step has ended but was not announced yet. Of one that
    failed or was cancelled, `failed_step` is the step that failed first and `error` its last error,
    capped; both are None once the steps were pruned. `paused_at` and `pause_reason` are those of
    one that has not ended and is paused. `tags` and `attributes` are those that it was given.
    """

    workflow_id: UUID
    workflow_name: str | None
    state: WorkflowState
    total_count: int
    outstanding_count: int
    failed_count: int
    inserted_at: datetime
    finished_at: datetime | None
    duration: float
    failed_step: str | None = None
    error: str | None = None
    paused_at: datetime | None = None
    pause_reason: str | None = None
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class StepCounts:
    """How many steps of a workflow are in which state: the settled one, before that the job's.

    `gone` counts the unsettled steps whose job was deleted.
    """

    available: int = 0
    suspended: int = 0
    scheduled: int = 0
    executing: int = 0
    retryable: int = 0
    completed: int = 0
    discarded: int = 0
    cancelled: int = 0
    skipped: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class WorkflowDetail:
    """One workflow, its steps counted, and its completion when it has ended. `forked_from` is the
    workflow whose results it began with. `deadline` is when it is cancelled, until it was. `run`
    counts from 1, the last retry's. `input` is what the workflow was given, as plain JSON values,
    and `output_step` the step whose result is `completion.output`.
    """

    workflow: WorkflowRow
    counts: StepCounts
    completion: Completion | None
    forked_from: UUID | None = None
    deadline: datetime | None = None
    run: int = 1
    input: Any = field(default=None, hash=False)
    output_step: str | None = None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a workflow: its node and its job. Of a job that was deleted, worker, queue,
    state, attempts and times are None.

    `scheduled_at` is when it may run at the earliest, `attempted_at` the start of its last attempt,
    `finished_at` its job's end. `error` is the last one, capped.
    """

    job_id: int
    name: str
    worker: str | None
    queue: str | None
    job_state: JobState | None
    settled: StepState | None
    attempt: int | None
    max_attempts: int | None
    scheduled_at: datetime | None
    attempted_at: datetime | None
    finished_at: datetime | None
    error: str | None
    dependencies: tuple[str, ...]
    has_result: bool


@dataclass(frozen=True, slots=True)
class QueueRow:
    """What a queue holds that has not ended, and who serves it.

    `available_for`: seconds since the scheduled time of its oldest available job, None without one.
    A step's scheduled time is that of its insertion unless it was given one or tried again, so the
    wait for its dependencies counts. `executing_for`: seconds since its oldest attempt began.
    `engines` counts the live engines that serve it and have not paused it; `room` is how many of
    its jobs they run at once, together.
    """

    queue: str
    available: int
    scheduled: int
    retryable: int
    executing: int
    suspended: int
    available_for: float | None
    executing_for: float | None
    engines: int = 0
    room: int = 0


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine that has not stopped. It is `live` unless it has been silent (`silent_for`,
    seconds) for longer than its own `rescue_after`. `queues` holds the limit of each queue that it
    serves, 0 while it is paused there.
    """

    engine_id: UUID
    name: str
    node: str
    started_at: datetime
    seen_at: datetime
    silent_for: float
    rescue_after: float
    live: bool
    queues: Mapping[str, int] = field(default_factory=dict[str, int])


class Reason(StrEnum):
    """Why a step is where it is."""

    SETTLED = "settled"
    """It has settled."""
    ENDED = "ended"
    """Its job ended outside a settlement."""
    GONE = "gone"
    """Its job was deleted before it settled."""
    DEPENDENCIES = "dependencies"
    """It waits for dependencies."""
    DOOMED = "doomed"
    """Its dependencies doom it; it is about to be cancelled or skipped."""
    EVENTS = "events"
    """It waits for events, or for a time of its own."""
    UNKNOWN_STATE = "unknown_state"
    """Its job is in a state that only another runtime of the table knows."""
    UNRELEASED = "unreleased"
    """It is suspended, though no dependency holds it."""
    SCHEDULED = "scheduled"
    """It waits for its time."""
    RETRYABLE = "retryable"
    """It failed and waits for its next attempt."""
    PAUSED = "paused"
    """It could go on, but its workflow is paused."""
    QUEUED = "queued"
    """It waits for an engine with room in its queue."""
    NO_ENGINE = "no_engine"
    """It could run, but no live engine serves its queue."""
    EXHAUSTED = "exhausted"
    """It is available but has no attempt left, so nobody claims it."""
    EXECUTING = "executing"
    """A live engine runs it."""
    ORPHANED = "orphaned"
    """The engine that ran it is silent or forgotten; it will be rescued."""
    FOREIGN = "foreign"
    """A host without Baton's heartbeat runs it."""


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """A dependency that is waited for, and its state: settled, before that its job's."""

    name: str
    state: JobState


@dataclass(frozen=True, slots=True)
class Why:
    """Why a step is waiting: the `reason`, a `sentence` for people, and the facts it rests on.

    `dependencies` and `events` are those that are waited for. `since` is when it came to be so
    where that is known, `until` when it is to change. `ahead` and `executing` count jobs of its
    queue, up to 10,000; `serving_engines` the live engines that serve it and have not paused it.
    What does not belong to the reason is None.
    """

    workflow_id: UUID
    step: str
    job_id: int
    reason: Reason
    sentence: str
    job_state: JobState | None
    settled: StepState | None
    queue: str | None
    dependencies: tuple[WaitsFor, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None
    engine: EngineRow | None = None
    ahead: int | None = None
    executing: int | None = None
    live_engines: int | None = None
    serving_engines: int | None = None
    events: tuple[str, ...] = ()
