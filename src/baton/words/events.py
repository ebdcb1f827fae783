"""Everything that happens, as typed records. Logging, OpenTelemetry and tests only subscribe.

`EVENT` is the event's name; fields are its measurements and attributes. Ids are facts, texts are
capped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from baton.words.event import Event, StepEvent
from baton.words.states import Delivery, WorkflowOutcome

__all__ = [
    "ActionDone",
    "ConnectionLost",
    "ConnectionRegained",
    "EngineStarted",
    "EngineStopped",
    "Event",
    "EventReceived",
    "JobsRescued",
    "QueueObserved",
    "RowsPruned",
    "StepCancelled",
    "StepCompleted",
    "StepDiscarded",
    "StepEvent",
    "StepExecuting",
    "StepFenced",
    "StepInterrupted",
    "StepReleased",
    "StepRetryable",
    "StepSettled",
    "StepSkipped",
    "StepSnoozed",
    "StepSuspended",
    "StepUsage",
    "StepsCancelled",
    "StepsSettled",
    "SweepFinished",
    "WaitSettled",
    "WaitsObserved",
    "WorkflowCancelled",
    "WorkflowFailed",
    "WorkflowFinished",
    "WorkflowGrown",
    "WorkflowInserted",
]


@dataclass(frozen=True, slots=True)
class StepExecuting(StepEvent):
    """A step is about to be performed. `queue_time` is how long it could run before it was claimed,
    in seconds: since its scheduled time, or since its last dependency or wait settled.
    """

    queue_time: float | None = None

    EVENT: ClassVar[str] = "baton.step.executing"


@dataclass(frozen=True, slots=True)
class StepSettled(StepEvent):
    """The outcome of an attempt was recorded. `duration` is in seconds, of this attempt. A job
    outside workflows has no result.
    """

    duration: float
    has_result: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class StepCompleted(StepSettled):
    EVENT: ClassVar[str] = "baton.step.completed"


@dataclass(frozen=True, slots=True)
class StepRetryable(StepSettled):
    EVENT: ClassVar[str] = "baton.step.retryable"
    WARNS: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class StepDiscarded(StepSettled):
    EVENT: ClassVar[str] = "baton.step.discarded"
    WARNS: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class StepCancelled(StepSettled):
    """The step was cancelled: by itself, or from outside (a dependency's failure, its wait's end,
    `cancel` of its workflow, `cancel_step`); then `duration` is 0.
    """

    EVENT: ClassVar[str] = "baton.step.cancelled"


@dataclass(frozen=True, slots=True)
class StepSkipped(StepSettled):
    """The step had nothing to do, by its own word, in `error`, or because all its dependencies were
    skipped; then `duration` is 0. `state` is its job's, cancelled.
    """

    EVENT: ClassVar[str] = "baton.step.skipped"


@dataclass(frozen=True, slots=True)
class StepSnoozed(StepSettled):
    EVENT: ClassVar[str] = "baton.step.snoozed"


@dataclass(frozen=True, slots=True)
class StepReleased(StepSettled):
    """The job went back to the queue without an outcome: held by its gate, or the
    engine stopped.
    """

    EVENT: ClassVar[str] = "baton.step.released"


@dataclass(frozen=True, slots=True)
class StepSuspended(StepSettled):
    """The step waits for events or for a time; its slot is free and its attempt given back."""

    EVENT: ClassVar[str] = "baton.step.suspended"


@dataclass(frozen=True, slots=True)
class StepFenced(StepSettled):
    """The outcome was dropped: the claim was lost meanwhile, by a rescue. `state` is what the
    outcome would have made of the job.
    """

    EVENT: ClassVar[str] = "baton.step.fenced"
    WARNS: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class StepInterrupted(StepSettled):
    """The step was cancelled, or completed by hand, while it ran, and the attempt has ended since:
    its outcome was dropped. `StepCancelled` told of the cancelled step itself, from the process
    that cancelled it.
    """

    EVENT: ClassVar[str] = "baton.step.interrupted"


@dataclass(frozen=True, slots=True)
class StepUsage(StepEvent):
    """A use of a model was recorded. `input_tokens` includes the cached ones; `latency_ms` is None
    where the step did not tell it, `cost` (USD) where no price was known.
    """

    EVENT: ClassVar[str] = "baton.step.usage"
    model: str
    provider: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    latency_ms: int | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class WorkflowInserted(Event):
    EVENT: ClassVar[str] = "baton.workflow.inserted"
    workflow_id: UUID
    workflow_name: str | None
    total_count: int


@dataclass(frozen=True, slots=True)
class WorkflowGrown(Event):
    """Steps were added to a workflow that goes on, by its step `step` or, None, from outside."""

    EVENT: ClassVar[str] = "baton.workflow.grown"
    workflow_id: UUID
    workflow_name: str | None
    step: str | None
    added_count: int


@dataclass(frozen=True, slots=True)
class WorkflowFinished(Event):
    """A run of a workflow ended; emitted once, by whoever recorded the completion. `duration` is in
    seconds since the workflow was inserted, `announce_lag` from its end to its announcement.
    """

    EVENT: ClassVar[str] = "baton.workflow.finished"
    workflow_id: UUID
    workflow_name: str | None
    outcome: WorkflowOutcome
    failed_steps: tuple[str, ...]
    failed_count: int
    total_count: int
    duration: float
    announce_lag: float
    run: int = 1
    skipped_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowFailed(Event):
    """A run of a workflow ended with a discarded step; emitted once, after `WorkflowFinished`.
    `failed_count` counts cancelled steps too.
    """

    EVENT: ClassVar[str] = "baton.workflow.failed"
    WARNS: ClassVar[bool] = True
    workflow_id: UUID
    workflow_name: str | None
    failed_count: int
    total_count: int
    run: int = 1


@dataclass(frozen=True, slots=True)
class WorkflowCancelled(Event):
    """A run of a workflow ended with cancelled steps and no discarded one; emitted once, after
    `WorkflowFinished`. `cancelled_count` counts those steps.
    """

    EVENT: ClassVar[str] = "baton.workflow.cancelled"
    workflow_id: UUID
    workflow_name: str | None
    cancelled_count: int
    total_count: int
    run: int = 1


@dataclass(frozen=True, slots=True)
class ActionDone(Event):
    """Somebody did something to a workflow, or to one `step` of it: retried, paused it, …; emitted
    once, after the commit. `actor` is what `by=` named, `run` the workflow's run after it.
    """

    EVENT: ClassVar[str] = "baton.action.done"
    workflow_id: UUID
    step: str | None
    action: str
    actor: str | None
    reason: str | None
    run: int


@dataclass(frozen=True, slots=True)
class EventReceived(Event):
    """An event was sent, to a workflow or by a correlation key. `waits` counts those that took it;
    by a key on a caller's connection nobody knows yet.
    """

    EVENT: ClassVar[str] = "baton.event.received"
    workflow_id: UUID | None
    correlation_key: str | None
    event: str
    delivery: Delivery
    waits: int


@dataclass(frozen=True, slots=True)
class WaitSettled(Event):
    """A wait is over. `outcome` is "events", "timeout" or "cancelled"; `replay_key` is "" for a
    wait step, which has settled with it; `duration` is in seconds, from when it was armed.
    """

    EVENT: ClassVar[str] = "baton.wait.settled"
    workflow_id: UUID
    workflow_name: str | None
    step: str
    job_id: int
    replay_key: str
    outcome: str
    duration: float


@dataclass(frozen=True, slots=True)
class JobsRescued(Event):
    """Orphans of dead engines were returned to their queues or, past the limit, discarded."""

    EVENT: ClassVar[str] = "baton.engine.rescued"
    WARNS: ClassVar[bool] = True
    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepsCancelled(Event):
    """A sweep cancelled steps that waited for ever: a dependency had ended or vanished unnoticed.

    `job_ids` are the cancelled ones; `baton.step.cancelled` tells of each.
    """

    EVENT: ClassVar[str] = "baton.plugin.cancelled"
    WARNS: ClassVar[bool] = True
    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepsSettled(Event):
    """A sweep settled steps whose jobs had ended, or vanished, without Baton's knowledge."""

    EVENT: ClassVar[str] = "baton.plugin.settled"
    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RowsPruned(Event):
    """A sweep deleted rows; not emitted when none went. `tables` is rows by table."""

    EVENT: ClassVar[str] = "baton.plugin.pruned"
    count: int
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SweepFinished(Event):
    """A sweep came to its end. `duration` is in seconds; `failed` names the parts that failed."""

    EVENT: ClassVar[str] = "baton.plugin.swept"
    duration: float
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueObserved(Event):
    """What a queue holds, by the plugin's regular look. `depth` is unfinished jobs by state; ages
    are in seconds, 0 where there is no such job.
    """

    EVENT: ClassVar[str] = "baton.queue.observed"
    queue: str
    depth: Mapping[str, int]
    oldest_runnable: float
    oldest_executing: float


@dataclass(frozen=True, slots=True)
class WaitsObserved(Event):
    """How many waits for events or for a time are open, by the plugin's regular look; `oldest` is
    the age of the oldest in seconds, 0 where there is none.
    """

    EVENT: ClassVar[str] = "baton.waits.observed"
    open: int
    oldest: float


@dataclass(frozen=True, slots=True)
class EngineStarted(Event):
    EVENT: ClassVar[str] = "baton.engine.started"
    engine: str
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineStopped(Event):
    EVENT: ClassVar[str] = "baton.engine.stopped"
    engine: str
    released: int


@dataclass(frozen=True, slots=True)
class ConnectionLost(Event):
    """A dedicated connection or a round trip failed; the loop goes on and tries again."""

    EVENT: ClassVar[str] = "baton.connection.lost"
    WARNS: ClassVar[bool] = True
    engine: str
    what: str
    error: str


@dataclass(frozen=True, slots=True)
class ConnectionRegained(Event):
    EVENT: ClassVar[str] = "baton.connection.regained"
    engine: str
    what: str
