"""Metrics, fed from the events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from math import isfinite
from time import monotonic
from types import MappingProxyType

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from baton.words.events import (
    ConnectionLost,
    Event,
    EventReceived,
    JobsRescued,
    QueueObserved,
    RowsPruned,
    StepCancelled,
    StepExecuting,
    StepsCancelled,
    StepSettled,
    StepSkipped,
    StepsSettled,
    StepUsage,
    SweepFinished,
    WaitSettled,
    WaitsObserved,
    WorkflowFinished,
    WorkflowInserted,
)

Labels = tuple[tuple[str, str], ...]

SYSTEM = ("messaging.system", "baton")
SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
"""Buckets of the messaging conventions."""
MOST_NAMES = 500
"""Workflow names that are told apart; the SDK's own limit is 2,000 combinations of labels."""

LONG_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400]

TOKENS = [4**power for power in range(14)]
"""Buckets of the conventions for generative AI."""


class Metrics:
    """A subscriber that counts. What is counted for every step is added up here and read when it is
    collected: a counter of the SDK costs ten times as much.
    """

    def __init__(self, meter: Meter) -> None:
        self._counts: dict[str, dict[Labels, int]] = {}
        self._names: set[str] = set()
        self._swept: float | None = None
        for name, unit, description in COUNTERS:
            self._counts[name] = defaultdict(int)
            meter.create_observable_counter(
                name, [self._reader(name)], unit=unit, description=description
            )
        self._histograms = {
            name: meter.create_histogram(
                name,
                unit=unit,
                description=description,
                explicit_bucket_boundaries_advisory=boundaries,
            )
            for name, unit, description, boundaries in HISTOGRAMS
        }
        self._gauges = {
            name: meter.create_gauge(name, unit=unit, description=description)
            for name, unit, description in GAUGES
        }
        name, unit, description = COST
        self._cost = meter.create_counter(name, unit=unit, description=description)
        name, unit, description = SWEEP_LAG
        meter.create_observable_gauge(name, [self._sweep_lag], unit=unit, description=description)

    def __call__(self, event: Event) -> None:
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
        elif isinstance(event, StepSettled):
            self._settled(event)

    def _settled(self, event: StepSettled) -> None:
        queue = ("messaging.destination.name", event.queue)
        worker = ("baton.worker", event.worker)
        kind = event.EVENT.rpartition(".")[2]
        self._add("baton.step.settled", (queue, worker, ("baton.step.state", kind)))
        if isinstance(event, StepCancelled | StepSkipped) and not event.duration:
            # By a dependency or by request: nothing was performed.
            return
        if kind == "fenced":
            self._add("baton.step.fenced", (queue, worker))
        labels = _labels(event.queue, event.worker, kind)
        self._record("messaging.process.duration", event.duration, labels)

    def _executing_step(self, event: StepExecuting) -> None:
        self._add(
            "messaging.client.consumed.messages",
            (SYSTEM, OPERATION, ("messaging.destination.name", event.queue)),
        )
        # Infinite where the job's own times are.
        if event.queue_time is not None and isfinite(event.queue_time):
            labels = _queue_labels(event.queue, event.worker)
            self._record("baton.job.queue.duration", event.queue_time, labels)

    def _inserted(self, event: WorkflowInserted) -> None:
        self._add("baton.workflow.inserted", (self._named(event.workflow_name),))
        self._add(
            "messaging.client.sent.messages",
            (SYSTEM, ("messaging.operation.name", "send")),
            event.total_count,
        )

    def _finished(self, event: WorkflowFinished) -> None:
        labels = (
            ("baton.workflow.outcome", event.outcome.value),
            self._named(event.workflow_name),
        )
        self._add("baton.workflow.finished", labels)
        self._record("baton.workflow.duration", event.duration, dict(labels))
        self._record("baton.announce.lag", max(event.announce_lag, 0.0))

    def _counted(self, event: JobsRescued | StepsCancelled | StepsSettled) -> None:
        self._add(COUNTED_IDS[type(event)], (), len(event.job_ids))

    def _pruned(self, event: RowsPruned) -> None:
        for table, count in event.tables.items():
            self._add("baton.plugin.pruned", (("baton.table", table),), count)

    def _swept_once(self, event: SweepFinished) -> None:
        self._record("baton.sweep.duration", event.duration)
        for part in event.failed:
            self._add("baton.sweep.failed", (("baton.part", part),))
        if not event.failed:
            self._swept = monotonic()

    def _observed(self, event: QueueObserved) -> None:
        queue = {"messaging.destination.name": event.queue}
        for state, count in event.depth.items():
            self._gauges["baton.queue.depth"].set(count, {**queue, "baton.job.state": state})
        self._gauges["baton.queue.oldest_runnable.age"].set(event.oldest_runnable, queue)
        self._gauges["baton.queue.oldest_executing.age"].set(event.oldest_executing, queue)

    def _observed_waits(self, event: WaitsObserved) -> None:
        self._gauges["baton.wait.open"].set(event.open)
        self._gauges["baton.wait.oldest.age"].set(event.oldest)

    def _named(self, workflow_name: str | None) -> tuple[str, str]:
        """A workflow's name as a label: names that come too many, such as ones with an id in them,
        are counted together.
        """
        name = workflow_name or ""
        if name not in self._names:
            if len(self._names) >= MOST_NAMES:
                name = "_OTHER"
            self._names.add(name)
        return "baton.workflow.name", name

    def _used(self, event: StepUsage) -> None:
        labels = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": event.provider or "_OTHER",
            "gen_ai.request.model": event.model,
        }
        for kind, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
            self._record("gen_ai.client.token.usage", tokens, {**labels, "gen_ai.token.type": kind})
        if event.latency_ms is not None:
            self._record("gen_ai.client.operation.duration", event.latency_ms / 1000, labels)
        if event.cost is not None:
            self._cost.add(float(event.cost), labels)

    def _received(self, event: EventReceived) -> None:
        self._add("baton.event.received", (("baton.event.delivery", str(event.delivery)),))

    def _waited(self, event: WaitSettled) -> None:
        self._add("baton.wait.settled", (("baton.wait.outcome", event.outcome),))

    def _lost(self, event: ConnectionLost) -> None:
        self._add("baton.connection.lost", (("baton.what", event.what),))

    def _record(
        self, histogram: str, value: float, labels: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._histograms[histogram].record(value, labels)

    def _add(self, name: str, labels: Labels, count: int = 1) -> None:
        self._counts[name][labels] += count

    def _reader(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        counts = self._counts[name]

        def read(_: CallbackOptions) -> Iterator[Observation]:
            for labels, count in list(counts.items()):
                yield Observation(count, dict(labels))

        return read

    def _sweep_lag(self, _: CallbackOptions) -> Iterator[Observation]:
        if self._swept is not None:
            yield Observation(monotonic() - self._swept)


OPERATION = ("messaging.operation.name", "process")

COUNTERS = [
    ("messaging.client.sent.messages", "{message}", "Jobs inserted"),
    ("messaging.client.consumed.messages", "{message}", "Attempts begun"),
    ("baton.step.settled", "{step}", "Attempts by how they ended"),
    ("baton.step.fenced", "{step}", "Stale outcomes that were dropped"),
    ("baton.workflow.inserted", "{workflow}", "Workflows inserted"),
    ("baton.workflow.finished", "{workflow}", "Workflows by their outcome"),
    ("baton.job.rescued", "{job}", "Jobs of dead engines that were rescued"),
    ("baton.plugin.cancelled", "{step}", "Steps that a sweep cancelled"),
    ("baton.plugin.settled", "{step}", "Steps that a sweep settled"),
    ("baton.plugin.pruned", "{row}", "Rows that sweeps deleted"),
    ("baton.sweep.failed", "{part}", "Parts of sweeps that failed"),
    ("baton.event.received", "{event}", "Events sent, by what became of them"),
    ("baton.wait.settled", "{wait}", "Waits that are over, by how they ended"),
    ("baton.connection.lost", "{failure}", "Connections and round trips that failed"),
]

HISTOGRAMS = [
    ("messaging.process.duration", "s", "Duration of attempts", SECONDS),
    (
        "baton.job.queue.duration",
        "s",
        "How long jobs could run before an attempt began",
        LONG_SECONDS,
    ),
    ("baton.workflow.duration", "s", "From a workflow's insertion to its end", LONG_SECONDS),
    ("baton.announce.lag", "s", "From a workflow's end to its announcement", LONG_SECONDS),
    ("baton.sweep.duration", "s", "Duration of sweeps", LONG_SECONDS),
    (
        "gen_ai.client.operation.duration",
        "s",
        "How long models took, where steps recorded it",
        SECONDS,
    ),
    ("gen_ai.client.token.usage", "{token}", "Tokens that models took and gave", TOKENS),
]

GAUGES = [
    ("baton.queue.depth", "{job}", "Unfinished jobs by queue and state"),
    ("baton.queue.oldest_runnable.age", "s", "How long the oldest available job has been due"),
    ("baton.queue.oldest_executing.age", "s", "How long the oldest executing job has been claimed"),
    ("baton.wait.open", "{wait}", "Waits for events or for a time that are not over"),
    ("baton.wait.oldest.age", "s", "How long the oldest of them has been waiting"),
]

COST = ("baton.step.cost", "{USD}", "What models cost, where it is known")

SWEEP_LAG = (
    "baton.sweep.lag",
    "s",
    "Since the last sweep of this process without a failed part",
)

COUNTED_IDS: dict[type[Event], str] = {
    JobsRescued: "baton.job.rescued",
    StepsCancelled: "baton.plugin.cancelled",
    StepsSettled: "baton.plugin.settled",
}

_HANDLERS: dict[type[Event], Callable[..., None]] = {
    StepExecuting: Metrics._executing_step,
    WorkflowInserted: Metrics._inserted,
    WorkflowFinished: Metrics._finished,
    JobsRescued: Metrics._counted,
    StepsCancelled: Metrics._counted,
    StepsSettled: Metrics._counted,
    RowsPruned: Metrics._pruned,
    SweepFinished: Metrics._swept_once,
    QueueObserved: Metrics._observed,
    WaitsObserved: Metrics._observed_waits,
    ConnectionLost: Metrics._lost,
    EventReceived: Metrics._received,
    WaitSettled: Metrics._waited,
    StepUsage: Metrics._used,
}

_LABELS: dict[tuple[str, str, str], dict[str, str]] = {}


def _labels(queue: str, worker: str, kind: str) -> dict[str, str]:
    """One mapping for each triple, which the SDK need not be given anew for every step."""
    labels = _LABELS.get((queue, worker, kind))
    if labels is None:
        labels = _LABELS[queue, worker, kind] = {
            "messaging.system": "baton",
            "messaging.operation.name": "process",
            "messaging.destination.name": queue,
            "baton.worker": worker,
            **({} if kind in ("completed", "snoozed", "released") else {"error.type": kind}),
        }
    return labels


@cache
def _queue_labels(queue: str, worker: str) -> dict[str, str]:
    """One mapping for each pair, as with `_labels`."""
    return {"messaging.destination.name": queue, "baton.worker": worker}
