"""How long a job could run before its attempt began."""

from __future__ import annotations

from time import monotonic
from uuid import uuid4

import pytest

from baton import Baton, Step, send_event, worker
from baton.contrib.otel.metrics import LONG_SECONDS
from baton.store.jobs import Claimant, read_claims, settle_and_claim
from baton.store.store import store_of
from baton.telemetry import seam
from baton.words.events import StepExecuting
from baton.words.rows import Demand
from baton.words.states import JobState
from baton.workers.registry import held_spec
from support.otel import Telemetry
from support.running import Run, running
from support.waits import until_waits

LONG = 1000.0
AGO = f"timezone('UTC', now()) - interval '{LONG} seconds'"


@worker
async def works(step: Step) -> int:
    return 1


@worker(max_attempts=2, backoff=0)
async def fails_once(step: Step) -> None:
    if step.attempt == 1:
        raise ValueError("not yet")


@worker(max_attempts=1)
async def fails(step: Step) -> None:
    raise ValueError("no")


@worker
async def waits(step: Step) -> None:
    await step.wait_for("x")


@worker
async def sleeps(step: Step) -> None:
    await step.sleep(0.01)


async def old(run: Run, workflow: Baton) -> Baton:
    """Insert a workflow whose jobs were due long ago; its queue is paused meanwhile."""
    run.engine.queue("default").pause()
    await run.insert(workflow)
    for name in workflow.step_names:
        await run.tables.change(workflow, name, inserted_at=AGO, scheduled_at=AGO)
    return workflow


def times(run: Run, step: str) -> list[float]:
    found = [event.queue_time for event in run.events.of(StepExecuting, step=step)]
    assert None not in found
    return [time for time in found if time is not None]


async def test_without_dependencies_it_counts_from_the_scheduled_time(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await old(run, Baton().add("a", works.new()))
        run.engine.queue("default").resume()
        await run.end(workflow)
        (time,) = times(run, "a")
    assert LONG <= time < LONG * 2


async def test_a_step_that_is_handed_over_has_not_waited(dsn: str) -> None:
    """However long its dependencies took."""
    async with running(dsn) as run:
        workflow = await old(run, Baton().add("a", works.new()).add("b", works.new(), deps=["a"]))
        run.engine.queue("default").resume()
        await run.end(workflow)
        assert times(run, "b") == [0.0]


@pytest.mark.parametrize("slow", [False, True])
async def test_a_released_step_counts_from_its_release(dsn: str, slow: bool) -> None:
    """By the batch that settles what completed, and by the path of what failed."""
    first = fails.new() if slow else works.new()
    workflow = Baton().add("a", first)
    workflow.add("b", works.new(), queue="other", deps=["a"], ignore_discarded=True)
    begun = monotonic()
    async with running(dsn) as run:
        await old(run, workflow)
        run.engine.queue("default").resume()
        await run.tables.until(workflow, "b", "available")
    async with running(dsn, queues={"other": 1}) as run:
        await run.end(workflow)
        (time,) = times(run, "b")
    assert 0 < time <= monotonic() - begun < LONG


@pytest.mark.parametrize("dependencies", [1, 2])
async def test_only_the_last_dependency_releases(dsn: str, dependencies: int) -> None:
    """The time of its release is not written before."""
    names = [f"a{number}" for number in range(2)]
    async with running(dsn, queues={"default": 1, "other": 1}) as run:
        run.engine.queue("other").pause()
        workflow = Baton().add("a0", works.new()).add("a1", works.new(), queue="other")
        workflow.add("b", works.new(), queue="third", deps=names[:dependencies])
        await run.insert(workflow)
        await run.tables.until(workflow, "a0", "completed")
        released = await run.tables.value(
            "SELECT released_at IS NOT NULL FROM baton.workflow_nodes"
            " WHERE workflow_id = $1 AND name = 'b'",
            workflow.workflow_id,
        )
        await run.engine.workflow(workflow.workflow_id).cancel()
    assert released is (dependencies == 1)


async def test_an_attempt_after_a_failure_counts_from_its_delay(dsn: str) -> None:
    begun = monotonic()
    async with running(dsn) as run:
        workflow = await old(run, Baton().add("a", fails_once.new()))
        run.engine.queue("default").resume()
        await run.end(workflow)
        first, second = times(run, "a")
    assert first >= LONG
    assert second <= monotonic() - begun < LONG


@pytest.mark.parametrize("sleep", [False, True])
async def test_after_a_wait_it_counts_from_its_end(dsn: str, sleep: bool) -> None:
    begun = monotonic()
    async with running(dsn) as run:
        made = sleeps.new() if sleep else waits.new()
        workflow = await old(run, Baton().add("a", made))
        run.engine.queue("default").resume()
        if not sleep:
            await until_waits(run.tables, workflow)
            await send_event(workflow.workflow_id, "x", 1)
        await run.end(workflow)
        first, second = times(run, "a")
    assert first >= LONG
    assert second <= monotonic() - begun < LONG


async def test_a_claim_whose_reply_was_lost_tells_the_same(dsn: str) -> None:
    async with running(dsn, queues={}) as run:
        workflow = Baton().add("a", works.new())
        await run.insert(workflow)
        await run.tables.change(workflow, "a", inserted_at=AGO, scheduled_at=AGO)
        claimant = Claimant("node", uuid4(), "7")
        demand = Demand("default", 1, True)
        reply = await settle_and_claim(store_of(run.engine), [], [demand], claimant, notify=False)
        ((_, found),) = await read_claims(store_of(run.engine), claimant, ["7"])
        assert [job.queue_time for job in reply.jobs] == [found.queue_time]
        assert found.queue_time is not None
        assert found.queue_time >= LONG
        await run.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("timezone('UTC', now()) + interval '1 hour'", 0.0),
        ("'infinity'", 0.0),
        ("'-infinity'", float("inf")),
    ],
)
async def test_it_is_never_negative_and_no_time_of_a_job_spoils_a_claim(
    dsn: str, otel: Telemetry, time: str, expected: float
) -> None:
    """A clock that goes ahead, or what somebody wrote into a row."""
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        workflow = Baton().add("a", works.new())
        await run.insert(workflow)
        await run.tables.change(workflow, "a", inserted_at=time, scheduled_at=time)
        run.engine.queue("default").resume()
        await run.end(workflow)
        assert times(run, "a") == [expected]
    counted = [point.count for _, point in otel.points("baton.job.queue.duration")]
    assert counted == ([] if expected else [1])


async def test_the_histogram(dsn: str, otel: Telemetry) -> None:
    async with running(dsn) as run:
        workflow = await old(run, Baton().add("a", works.new()).add("b", works.new()))
        run.engine.queue("default").resume()
        await run.end(workflow)
        expected = sum(times(run, "a") + times(run, "b"))
    ((labels, point),) = otel.points("baton.job.queue.duration")
    assert labels == {
        "messaging.destination.name": "default",
        "baton.worker": held_spec(works).name,
    }
    assert (point.count, point.sum) == (2, pytest.approx(expected))
    assert list(point.explicit_bounds) == LONG_SECONDS


def test_an_unknown_time_is_not_recorded(otel: Telemetry) -> None:
    seam.emit(StepExecuting("default", 1, "w", "q", JobState.EXECUTING, 1, None, None, None))
    assert otel.points("baton.job.queue.duration") == []
    assert len(otel.points("messaging.client.consumed.messages")) == 1
