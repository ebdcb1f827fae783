"""Values that cross floors: what is inserted, what is claimed, what is settled, what is
announced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from baton.words.states import JobState, OnTimeout, StepState, WorkflowOutcome


@dataclass(frozen=True, slots=True)
class NewWait:
    """A wait as it is armed: `need` of the `names`, until `timeout` seconds have passed since, or
    `until`. `fallback` (`{"value": …}`) and `payload_schema` (JSON schemas by event name, or one
    under "*") are JSON text. `replay_key` tells it from other waits of its step; a wait step has
    none.
    """

    names: tuple[str, ...]
    need: int
    replay_key: str = ""
    timeout: float | None = None
    until: datetime | None = None
    on_timeout: OnTimeout = OnTimeout.RESULT
    fallback: str | None = None
    correlation_key: str | None = None
    prompt: str | None = None
    payload_schema: str | None = None


@dataclass(frozen=True, slots=True)
class NewStep:
    """One step as it is inserted. `args` is JSON text; times are seconds or aware datetimes.

    `deps` are all dependencies, those in `any_of` too, of which one is enough. `condition` is JSON
    text: `when` and `unless`, what results contain, by dependency, and `on_failure`.
    """

    name: str
    worker: str
    args: str
    queue: str = "default"
    max_attempts: int = 20
    priority: int = 0
    tags: tuple[str, ...] = ()
    schedule_in: float | None = None
    schedule_at: datetime | None = None
    timeout: float | None = None
    deps: tuple[str, ...] = ()
    ignore_cancelled: bool = False
    ignore_discarded: bool = False
    run_when_skipped: bool = False
    model: str | None = None
    wait: NewWait | None = None
    any_of: tuple[str, ...] = ()
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A validated graph, ready to insert. `steps` keep the order they were added in; `attributes`
    and `input` are JSON text, `output_step` is a name, `deadline` is in seconds from the
    insertion or an aware datetime.
    """

    workflow_id: UUID
    workflow_name: str | None
    steps: tuple[NewStep, ...]
    debug: bool = False
    tags: tuple[str, ...] = ()
    attributes: str | None = None
    deadline: float | datetime | None = None
    input: str | None = None
    output_step: str | None = None
    trace_context: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Job:
    """A job as `insert` returns it, in the order the steps were added."""

    id: int
    workflow_id: UUID
    name: str
    worker: str
    queue: str
    state: JobState


class Node(NamedTuple):
    """What the workflow knows of a claimed job, read in the claim's own transaction.

    `pending` counts dependencies not yet settled, `state` is the settled state (or None),
    `timeout` is in seconds. `model` is the one chosen for the step, `debug` the workflow's.
    """

    workflow_id: UUID
    name: str
    pending: int
    state: StepState | None
    dependencies: int
    timeout: float | None
    model: str | None = None
    debug: bool = False


class ClaimedJob(NamedTuple):
    """A job this engine holds. `(id, attempted_at)` is the identity of the claim.

    `links` are the span contexts of the attempts that settled its dependencies, when traced.
    `queue_time` is how long the job could run before this claim took it, in seconds.
    """

    id: int
    attempted_at: datetime
    queue: str
    worker: str
    args: str
    meta: str
    attempt: int
    max_attempts: int
    node: Node | None
    links: Sequence[str] = ()
    queue_time: float | None = None


Claim: TypeAlias = tuple[int, datetime]
"""(job id, attempted_at): the identity of one claim, which fences what is written of it. A plain
tuple, because it is made for every job that runs.
"""


class Announced(NamedTuple):
    """The end of a workflow that a call has recorded; `completion` is JSON text."""

    workflow_id: UUID
    completion: str


class Growth(NamedTuple):
    """Steps that are added to a workflow that goes on, by its step `by` (None: from outside).
    `before` names, by new step, steps of the workflow that wait for it too.
    """

    steps: tuple[NewStep, ...]
    before: Mapping[str, tuple[str, ...]] = {}
    by: str | None = None


class Outcome(NamedTuple):
    """What is to be written of one claimed job; fenced on `(job_id, attempted_at)`.

    `result` is JSON text, set exactly when a step of a workflow has completed. `error` is text for
    the job's `errors`. `delay` (seconds, by the database's clock) moves `scheduled_at`.
    `attempt_change` is -1 where the attempt is given back (snooze, hold, release, rescue, a step
    that failed before).
    With `skipped` the job is cancelled and the step settles as skipped.
    `trace` is the span context of the attempt, a W3C traceparent, when it was traced. `wait` is
    what a suspended step waits for; without it the job is held by its gate. `growth` is what a
    completed step adds to its workflow.
    """

    job_id: int
    attempted_at: datetime
    attempt: int
    state: JobState
    result: str | None = None
    error: str | None = None
    delay: float | None = None
    attempt_change: int = 0
    trace: str | None = None
    wait: NewWait | None = None
    skipped: bool = False
    growth: Growth | None = None


class Demand(NamedTuple):
    """Room of one queue: `room` jobs may be handed over; with `claim`, available jobs fill the
    rest, but for those `left_out`.
    """

    queue: str
    room: int
    claim: bool
    left_out: Sequence[int] = ()


class UnsettledStep(NamedTuple):
    """A step that has not settled, as its job's row says; None when that row is gone. `served`: a
    live engine serves its queue.
    """

    name: str
    state: JobState | None
    queue: str | None
    served: bool = True


class CancelledStep(NamedTuple):
    """A step cancelled from outside: by a dependency, named with how that one ended, or
    by request. With `skipped` it settled as skipped.
    """

    job_id: int
    workflow_id: UUID
    name: str
    worker: str
    queue: str
    args: str
    meta: str
    attempt: int
    max_attempts: int
    reason: str
    dependency: str | None
    dependency_state: StepState | None
    model: str | None
    debug: bool
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of one run of a workflow, recorded exactly once. Times are UTC; `inserted_at` is the
    workflow's. `failed_steps` and `skipped_steps` are names in the order the steps were added.
    `output` is the result of the workflow's declared output step, as plain JSON values; None where
    there is none.
    """

    workflow_id: UUID
    workflow_name: str | None
    outcome: WorkflowOutcome
    failed_steps: tuple[str, ...]
    failed_count: int
    total_count: int
    inserted_at: datetime
    finished_at: datetime
    announced_at: datetime
    run: int = 1
    skipped_steps: tuple[str, ...] = ()
    output: Any = field(default=None, hash=False)

    @property
    def duration(self) -> timedelta:
        """From insertion to the end, by the database's clock."""
        return self.finished_at - self.inserted_at


class UsageRecord(NamedTuple):
    """One use of a model, as a step recorded it. `input_tokens` includes the cached ones; `cost` is
    in USD, None where no price was known.
    """

    id: UUID
    model: str
    provider: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    latency_ms: int | None
    cost: Decimal | None


class CaptureRecord(NamedTuple):
    """What a step captured; `content` is JSON text."""

    id: UUID
    label: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over the records of all attempts of all steps. `cost` (USD) adds up the records with a
    known price; `unpriced` counts the others. `latency_ms` adds up the latencies that were given.
    """

    records: int
    input_tokens: int
    """All input, cached tokens included."""
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    latency_ms: int
    cost: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True)
class ModelUsage(Usage):
    """What a workflow used of one model, of one provider where the records name it."""

    model: str
    provider: str | None


@dataclass(frozen=True, slots=True)
class WorkflowUsage(Usage):
    """What a workflow used, and how it divides among its models, in the order of their names."""

    workflow_id: UUID
    models: tuple[ModelUsage, ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """One entry of a step's debug log. `content` is what was captured, as plain JSON values."""

    id: UUID
    workflow_id: UUID
    step: str
    attempt: int
    label: str
    content: Any
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingStep:
    """A step that waits for events, for people and dashboards. Times are UTC.

    `wait_id` orders them. `replay_key` is "" for a wait step. `payload_schema` holds the JSON
    schema of an event's payload by name, or one for all under "*".
    """

    wait_id: int
    workflow_id: UUID
    workflow_name: str | None
    step: str
    replay_key: str
    names: tuple[str, ...]
    need: int
    received: tuple[str, ...]
    correlation_key: str | None
    prompt: str | None
    payload_schema: Mapping[str, Any] | None
    since: datetime
    deadline: datetime | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The events that have not come."""
        return tuple(name for name in self.names if name not in self.received)
