"""Metrics and log records of a real SDK; and subscribers that behave badly."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from baton import Baton, Plugin, Step, insert_all, subscribe, worker
from baton.contrib.otel.logs import attributes
from baton.contrib.otel.metrics import COST, COUNTERS, GAUGES, HISTOGRAMS, MOST_NAMES, SWEEP_LAG
from baton.telemetry import seam
from baton.words import events
from baton.words.events import Event, StepCompleted, SweepFinished, WaitsObserved, WorkflowFinished
from baton.words.states import Delivery, JobState, WorkflowOutcome
from baton.workers.registry import held_spec
from support.otel import Telemetry, instrumented
from support.places import ROOT
from support.running import running
from support.waiting import eventually


@worker
async def works(step: Step) -> int:
    return 1


@worker(max_attempts=2, backoff=0)
async def fails(step: Step) -> None:
    raise ValueError("no")


def values(otel: Telemetry, name: str, label: str | None = None) -> dict[Any, float]:
    """The values of a metric by one of its labels."""
    return {
        labels.get(label) if label else None: getattr(point, "value", None) or point.count
        for labels, point in otel.points(name)
    }


async def test_what_is_counted(dsn: str, otel: Telemetry) -> None:
    async with running(dsn, plugins=[Plugin(interval=0.05)]) as run:
        await run.completed(Baton().add("a", works.new()).add("b", works.new(), deps=["a"]))
        await run.workflow(Baton().add("a", fails.new()).add("b", works.new(), deps=["a"]))
        waiting = Baton().add("a", works.new(), schedule_in=3600)
        await run.insert(waiting)
        await run.events.until(SweepFinished, len(run.events.of(SweepFinished)) + 2)
        depth = {
            labels["baton.job.state"]: point.value
            for labels, point in otel.points("baton.queue.depth")
        }
        assert depth["scheduled"] == 1
        assert set(depth) == {"available", "scheduled", "retryable", "executing", "suspended"}
        await run.engine.workflow(waiting.workflow_id).cancel()
    state = "baton.step.state"
    assert values(otel, "baton.step.settled", state) == {
        "completed": 2,
        "retryable": 1,
        "discarded": 1,
        "cancelled": 2,
    }
    assert values(otel, "messaging.client.sent.messages") == {None: 5}
    assert values(otel, "messaging.client.consumed.messages") == {None: 4}
    assert values(otel, "messaging.process.duration", "error.type") == {
        None: 2,
        "retryable": 1,
        "discarded": 1,
    }
    assert values(otel, "baton.workflow.inserted") == {None: 3}
    assert values(otel, "baton.workflow.finished", "baton.workflow.outcome") == {
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
    }
    assert values(otel, "baton.workflow.duration", "baton.workflow.outcome") == {
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
    }
    assert sum(values(otel, "baton.announce.lag").values()) == 3
    assert values(otel, "baton.sweep.duration")[None] >= 2
    assert [point.value >= 0 for _, point in otel.points("baton.sweep.lag")] == [True]


async def test_workers_and_workflows_have_names(dsn: str, otel: Telemetry) -> None:
    async with running(dsn) as run:
        await run.completed(Baton(workflow_name="ingest").add("a", works.new()))
    for name in ("baton.step.settled", "messaging.process.duration"):
        assert values(otel, name, "baton.worker") == {held_spec(works).name: 1}
    for name in ("baton.workflow.inserted", "baton.workflow.finished", "baton.workflow.duration"):
        assert values(otel, name, "baton.workflow.name") == {"ingest": 1}


async def test_open_waits_and_their_age(dsn: str, otel: Telemetry) -> None:
    async with running(dsn, plugins=[Plugin(interval=0.05)]) as run:
        for _ in range(2):
            await run.insert(Baton().wait("approved", all_of=["manager"]))
        await run.events.until(WaitsObserved, len(run.events.of(WaitsObserved)) + 1)
        assert values(otel, "baton.wait.open") == {None: 2}
        ((_, oldest),) = otel.points("baton.wait.oldest.age")
        assert 0 < oldest.value < 60


def test_too_many_names_are_counted_together(otel: Telemetry) -> None:
    for number in range(MOST_NAMES + 50):
        seam.emit(events.WorkflowInserted(None, UUID(int=number), f"import-{number}", 1))
    counted = values(otel, "baton.workflow.inserted", "baton.workflow.name")
    assert len(counted) == MOST_NAMES + 1
    assert counted["_OTHER"] == 50
    assert counted["import-0"] == 1


def sample(kind: type[Event]) -> Event:
    """An event whose every field has a value."""
    made: dict[str, Any] = {
        "bool": True,
        "float": 0.5,
        "int": 3,
        "Decimal": Decimal("0.5"),
        "Delivery": Delivery.SETTLED,
        "JobState": JobState.COMPLETED,
        "Mapping[str, int]": {"x": 2},
        "str": "text",
        "tuple[int, ...]": (1, 2),
        "tuple[str, ...]": ("a", "b"),
        "UUID": UUID(int=5),
        "WorkflowOutcome": WorkflowOutcome.FAILED,
    }
    facts = {
        field.name: made[str(field.type).removesuffix(" | None")]
        for field in dataclasses.fields(kind)
    }
    return kind(**facts)


EVENTS: list[type[Event]] = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type)
    and issubclass(kind, Event)
    and kind is not Event
    and "EVENT" in vars(kind)
]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: str(kind.__name__))
def test_every_event_is_a_log_record(otel: Telemetry, kind: type[Event]) -> None:
    """With its name and every fact, in types that the SDK keeps."""
    event = sample(kind)
    seam.emit(event)
    ((name, facts),) = otel.events
    assert name == kind.EVENT
    assert len(facts) == len(dataclasses.fields(kind)) == len(attributes(event))
    assert not [value for value in facts.values() if value is None]


async def test_every_metric_moves(dsn: str, otel: Telemetry) -> None:
    for kind in EVENTS:
        seam.emit(sample(kind))
    fenced = sample(events.StepFenced)
    seam.emit(fenced)
    for name in [str(row[0]) for row in (*COUNTERS, *HISTOGRAMS, *GAUGES)]:
        assert otel.points(name), name


def test_an_interrupted_attempt_is_not_fenced(otel: Telemetry) -> None:
    seam.emit(sample(events.StepInterrupted))
    assert values(otel, "baton.step.settled", "baton.step.state") == {"interrupted": 1}
    assert not otel.points("baton.step.fenced")


def test_instrumenting_twice_counts_once(otel: Telemetry) -> None:
    with instrumented() as again:
        seam.emit(sample(events.WorkflowInserted))
        assert otel.events == []
        assert len(again.events) == 1
    seam.emit(sample(events.WorkflowInserted))
    assert len(again.events) == 1


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \| `(\S+)` \| (.+) \|$", text, re.MULTILINE)
    expected = [
        *((name, "counter", unit, what) for name, unit, what in (*COUNTERS, COST)),
        *((name, "histogram", unit, what) for name, unit, what, _ in HISTOGRAMS),
        *((name, "gauge", unit, what) for name, unit, what in (*GAUGES, SWEEP_LAG)),
    ]
    assert rows == expected


async def test_subscribers_that_behave_badly_harm_nothing(dsn: str) -> None:
    """They raise, block, and come and go while a thousand steps run."""
    seen: Counter[str] = Counter()

    def raises(event: Event) -> None:
        seen["raises"] += 1
        raise RuntimeError("a subscriber's own fault")

    def cancels(event: Event) -> None:
        raise asyncio.CancelledError

    def blocks(event: Event) -> None:
        if seen["blocks"] < 20:
            seen["blocks"] += 1
            sum(range(200_000))

    stop = False

    async def comes_and_goes() -> None:
        while not stop:
            undo = subscribe(lambda event: seen.update(["passing"]))
            await asyncio.sleep(0)
            undo()
            undo()

    workflows = [
        Baton().add("a", works.new()).add("b", works.new(), deps=["a"]) for _ in range(500)
    ]
    async with running(dsn, queues={"default": 100}) as run:
        undo = [subscribe(bad) for bad in (raises, cancels, blocks)]
        passing = asyncio.create_task(comes_and_goes())
        await insert_all(workflows, engine=run.engine)

        async def all_finished() -> bool:
            return len(run.events.of(WorkflowFinished)) == len(workflows)

        await eventually(all_finished, 40)
        stop = True
        await passing
        for take_back in undo:
            take_back()
        assert len(run.events.of(StepCompleted)) == 1000
    assert seen["raises"] > 2000
    assert seen["passing"]
