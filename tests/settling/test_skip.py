"""Skipped steps: no failure, no result, and all that depends on them alone is skipped too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from baton import (
    Baton,
    Cancel,
    Discard,
    JobState,
    Skip,
    Step,
    StepState,
    SyncStep,
    WorkflowOutcome,
    worker,
)
from baton.errors import FailedDependencyError, NoResultError
from baton.performing.perform import Performer
from baton.settling.settle_failures import hold, settle_failures
from baton.store.store import Store
from baton.words.config import EngineSettings
from baton.words.events import StepCancelled, StepCompleted, StepSkipped, WorkflowFinished
from baton.workers.registry import held_spec
from races.arena import Arena, Workflow, arena, noop, settle
from support.running import running
from support.waits import until_waits


@worker
async def work(step: Step, *, ends: str = "completed") -> Any:
    match ends:
        case "skipped":
            return Skip("no new data")
        case "raises":
            raise ExceptionGroup("g", [Skip("no new data")])
        case "cancelled":
            return Cancel("no")
        case "discarded":
            return Discard("no")
        case _:
            return ends


@worker
def at_once(step: SyncStep) -> Any:
    return Skip("no new data")


@worker
async def reads(step: Step, *, name: str) -> Any:
    try:
        await step.result(name)
    except NoResultError as error:
        return [str(error), error.state, await step.results()]


async def states(run: Any, workflow: Baton) -> dict[str, str | None]:
    page = await run.engine.workflow(workflow.workflow_id).steps()
    return {row.name: row.settled for row in page.rows}


@pytest.mark.parametrize("job", [work.new(ends="skipped"), work.new(ends="raises"), at_once.new()])
async def test_a_skipped_step_is_no_failure_and_has_no_result(dsn: str, job: Any) -> None:
    workflow = (
        Baton()
        .add("a", job)
        .add("b", work.new())
        .add("c", reads.new(name="a"), deps=["a", "b"])
        .add("d", work.new(), deps=["a"])
    )
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        assert completion.outcome is WorkflowOutcome.COMPLETED
        assert (completion.failed_steps, completion.skipped_steps) == ((), ("a", "d"))
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.settled, row.error, row.stored) == (
            "cancelled",
            "skipped",
            "no new data",
            False,
        )
        says = "step 'c' reads the result of 'a': step 'a' was skipped (settled state: skipped)"
        handle = run.engine.workflow(workflow.workflow_id)
        assert await handle.result("c") == [says, "skipped", {"b": "completed"}]
        with pytest.raises(NoResultError, match="step 'd' was skipped"):
            await handle.result("d")
        (event,) = await run.events.until(StepSkipped, step="a")
        assert (event.error, event.state) == ("no new data", JobState.CANCELLED)
        (below,) = await run.events.until(StepSkipped, step="d")
        assert below.duration == 0
        assert below.error == "all its dependencies were skipped, the last of them 'a'"
        assert not run.events.of(StepCancelled)
        (ended,) = await run.events.until(WorkflowFinished)
        assert ended.skipped_steps == ("a", "d")


async def test_it_is_shown_and_counted(dsn: str) -> None:
    workflow = Baton().add("a", work.new(ends="skipped")).add("b", work.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
        handle = run.engine.workflow(workflow.workflow_id)
        status = await handle.status()
        assert (status.counts.skipped, status.counts.cancelled, status.counts.completed) == (
            1,
            0,
            1,
        )
        assert [row.name for row in await handle.steps(state=StepState.SKIPPED)] == ["a"]
        assert not list(await handle.steps(state="cancelled"))
        why = await run.engine.insights.why(workflow.workflow_id, "a")
        assert why.settled is StepState.SKIPPED
        assert why.sentence.endswith(": no new data")


async def test_a_failure_still_cancels_beside_a_skip(dsn: str) -> None:
    workflow = (
        Baton()
        .add("a", work.new(ends="skipped"))
        .add("b", work.new(ends="discarded"))
        .add("c", work.new(), deps=["a", "b"])
        .add("d", work.new(), deps=["c", "a"])
    )
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        assert completion.failed_steps == ("b", "c", "d")
        assert completion.skipped_steps == ("a",)


async def test_it_goes_down_the_graph_and_stops_where_it_is_told_to(dsn: str) -> None:
    workflow = Baton().add("0", work.new(ends="skipped"))
    for number in range(1, 30):
        workflow.add(str(number), work.new(), deps=[str(number - 1)])
    workflow.wait("approval", any_of=["approved"], deps=["29"])
    workflow.add("log", reads.new(name="29"), deps=["29", "approval"], run_when_skipped=True)
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        assert completion.skipped_steps == (*map(str, range(30)), "approval")
        assert (await states(run, workflow))["log"] == "completed"
        group = "SELECT status || ': ' || reason FROM baton.workflow_wait_groups"
        assert await run.tables.value(group) == "cancelled: the step ended without it"


async def test_a_wait_step_that_runs_when_skipped_waits(dsn: str) -> None:
    workflow = Baton().add("a", work.new(ends="skipped"))
    workflow.wait("asked", any_of=["yes"], deps=["a"], run_when_skipped=True)
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepSkipped, step="a")
        await until_waits(run.tables, workflow)
        await run.engine.workflow(workflow.workflow_id).send_event("yes")
        completion = await run.end(workflow)
        assert completion.skipped_steps == ("a",)
        assert (await run.tables.step(workflow, "asked")).settled == "completed"


@pytest.mark.parametrize("name", ["a", "b"])
async def test_a_skipped_step_whose_job_is_moved_by_hand_stays_skipped(dsn: str, name: str) -> None:
    workflow = Baton().add("a", work.new(ends="skipped")).add("b", work.new(), deps=["a"])
    async with running(dsn) as run:
        await run.workflow(workflow)
        before = await run.tables.step(workflow, name)
        known = len(await run.events.until(StepSkipped, step=name))
        await run.tables.change(workflow, name, state="'available'", max_attempts=20)
        run.engine.queue("default").resume()
        await run.events.until(StepSkipped, known + 1, step=name)
        after = await run.tables.step(workflow, name)
        assert (after.state, after.settled) == ("cancelled", "skipped")
        assert (after.errors, after.attempt) == (before.errors, before.attempt)
        assert not run.events.of(StepCompleted, step=name)


async def test_outside_a_workflow_it_is_a_cancellation(dsn: str) -> None:
    async with running(dsn) as run:
        await run.tables.execute(
            "INSERT INTO baton.oban_jobs (state, queue, worker, args, max_attempts)"
            " VALUES ('available', 'default', $1, '{}', 20)",
            held_spec(at_once.new()).name,
        )
        run.engine.queue("default").resume()
        (event,) = await run.events.until(StepSkipped)
        assert event.error == "no new data"
        state = "SELECT state::text FROM baton.oban_jobs"
        assert await run.tables.value(state) == "cancelled"


# Settled by hand, so that it is certain who comes last.


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def join(ring: Arena, *, run_when_skipped: bool = False) -> Workflow:
    """p1 and p2, claimed; then d, which ignores failures, then e."""
    workflow = Baton(ignore_cancelled=True, ignore_discarded=True)
    for name in ("p1", "p2"):
        workflow.add(name, noop.new())
    workflow.add("d", noop.new(), deps=["p1", "p2"], run_when_skipped=run_when_skipped)
    (made,) = await ring.insert(workflow.add("e", noop.new(), deps=["d"]))
    await ring.claim()
    return made


async def end(database: Store, ring: Arena, job_id: int, ends: str) -> object:
    """Settle a claimed job, as an engine does it."""
    if ends == "completed":
        return await settle(database, ring.done(job_id))
    if ends == "skipped":
        outcome = ring.ended(job_id, JobState.CANCELLED, error="no", skipped=True)
    else:
        outcome = ring.ended(job_id, JobState(ends), error="no")
    return await settle_failures(database, [outcome], notify=False)


ENDS = ["completed", "cancelled", "discarded", "skipped"]


@pytest.mark.parametrize("run_when_skipped", [False, True])
@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_only_where_all_were_skipped(
    ring: Arena, first: str, second: str, run_when_skipped: bool
) -> None:
    workflow = await join(ring, run_when_skipped=run_when_skipped)
    await end(ring.left, ring, workflow["p1"], first)
    await end(ring.left, ring, workflow["p2"], second)
    skipped = (first, second) == ("skipped", "skipped") and not run_when_skipped
    for name in ("d", "e"):
        facts = await ring.facts(workflow[name])
        if skipped:
            assert (facts.job, facts.settled) == ("cancelled", "skipped")
        else:
            assert (facts.job, facts.settled) == ("available" if name == "d" else "suspended", None)
    assert await ring.violations() == []


@pytest.mark.parametrize("other", ENDS)
@pytest.mark.parametrize("skip_first", [True, False])
async def test_a_skip_and_another_end_at_once(ring: Arena, other: str, skip_first: bool) -> None:
    workflow = await join(ring)
    skip = partial(end, ring=ring, job_id=workflow["p1"], ends="skipped")
    beside = partial(end, ring=ring, job_id=workflow["p2"], ends=other)
    race = await ring.in_order(*((skip, beside) if skip_first else (beside, skip)))
    assert race.waited
    facts = await ring.facts(workflow["d"])
    if other == "skipped":
        assert (facts.job, facts.settled) == ("cancelled", "skipped")
        assert list((await ring.completions()).values()) == ["completed"]
    else:
        assert (facts.job, facts.settled, facts.pending) == ("available", None, 0)
    assert await ring.violations() == []


async def test_both_at_once_often(ring: Arena) -> None:
    for number in range(40):
        workflow = await join(ring)
        other = ENDS[number % 4]
        await ring.together(
            partial(end, ring=ring, job_id=workflow["p1"], ends="skipped"),
            partial(end, ring=ring, job_id=workflow["p2"], ends=other),
        )
        facts = await ring.facts(workflow["d"])
        assert facts.job == ("cancelled" if other == "skipped" else "available")
        await ring.monitor.execute("UPDATE baton.oban_jobs SET queue = 'done'")
    assert await ring.violations() == []


@pytest.mark.parametrize("when", ["runs", "is given back"])
async def test_a_step_that_was_moved_by_hand_and_runs_is_skipped_by_its_gate(
    ring: Arena, when: str
) -> None:
    """The cascade passes by what executes; its own gate finds that all were skipped."""
    workflow = await join(ring)
    move = "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1"
    await ring.monitor.execute(move, workflow["d"])
    (claimed,) = await ring.claim()
    held = await Performer(ring.right, EngineSettings()).perform(claimed)
    assert held.state is JobState.SUSPENDED
    for name in ("p1", "p2"):
        await end(ring.left, ring, workflow[name], "skipped")
    assert (await ring.facts(workflow["d"])).job == "executing"
    if when == "runs":
        await hold(ring.right, [held], notify=False)
    else:
        await ring.monitor.execute(move, workflow["d"])
        (claimed,) = await ring.claim()
        outcome = await Performer(ring.right, EngineSettings()).perform(claimed)
        assert (outcome.state, outcome.skipped) == (JobState.CANCELLED, True)
        await settle_failures(ring.right, [outcome], notify=False)
    facts = await ring.facts(workflow["d"])
    assert (facts.job, facts.settled) == ("cancelled", "skipped")
    assert list((await ring.completions()).values()) == ["completed"]
    assert await ring.violations() == []


async def test_a_retry_begins_skipped_steps_anew(dsn: str) -> None:
    workflow = Baton().add("a", work.new(ends="skipped")).add("b", work.new(), deps=["a"])
    async with running(dsn) as run:
        await run.workflow(workflow)
        handle = run.engine.workflow(workflow.workflow_id)
        with pytest.raises(FailedDependencyError, match=r"'b'.* depends on 'a', which was skipped"):
            await handle.retry(steps=["b"])
        assert (await handle.retry(steps=["a"], args={"a": {"ends": "new"}})).steps == 2
        again = await run.end(workflow)
        assert (again.run, again.skipped_steps) == (2, ())
        assert await handle.result("a") == "new"
        assert (await handle.completion(run=1)).skipped_steps == ("a", "b")
