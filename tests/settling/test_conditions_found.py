"""What the machine of `tests/harness/model` has found about conditions, as plain tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from baton import Baton, JobState, send_event
from baton.runs.actions import Told
from baton.runs.complete import complete_step
from baton.runs.pause import pause_workflow, resume_workflow
from baton.runs.retry import asked, retry_workflow
from baton.settling.settle_failures import hold, settle_failures
from baton.settling.suspend import suspend
from baton.store.jobs import requeue_jobs
from baton.sweep.repair import Sweeper
from baton.words.config import EngineSettings
from baton.words.rows import NewWait
from races.arena import Arena, arena, noop, settle
from races.moving import gate, give_back, move

TOLD = Told(None, None)


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def fail(ring: Arena, job_id: int) -> None:
    outcome = ring.ended(job_id, JobState.DISCARDED, error="x")
    await settle_failures(ring.right, [outcome], notify=False)


async def sleep(ring: Arena, job_id: int) -> None:
    """The step's code has come to a wait."""
    wait = NewWait(("x",), 1, replay_key="#1")
    await suspend(ring.right, [ring.ended(job_id, JobState.SUSPENDED, wait=wait)], notify=False)


async def test_a_step_whose_job_is_gone_is_skipped_as_any_other(ring: Arena) -> None:
    flow = Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"], when={"a": 1})
    (workflow,) = await ring.insert(flow.add("c", noop.new(), deps=["b"]))
    await ring.claim()
    await ring.monitor.execute("DELETE FROM baton.oban_jobs WHERE id = $1", workflow["b"])
    await settle(ring.right, ring.done(workflow["a"], value=2))
    assert (await ring.facts(workflow["c"])).settled == "skipped"
    assert await ring.violations() == []


async def test_a_doomed_step_that_runs_is_not_released_by_what_is_left(ring: Arena) -> None:
    flow = Baton().add("a", noop.new()).add("b", noop.new())
    flow.add("c", noop.new(), deps=["b"]).add("d", noop.new(), deps=["a", "c"])
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await move(ring, workflow["d"])
    await fail(ring, workflow["a"])
    await fail(ring, workflow["b"])
    await complete_step(ring.right, workflow.id, "b", '{"value": 1}', TOLD, notify=False)
    await ring.claim()
    await settle(ring.right, ring.done(workflow["c"]))
    outcome = await gate(ring, await give_back(ring, workflow["d"]))
    assert outcome.state is JobState.CANCELLED


async def test_a_step_that_runs_and_waits_then_is_not_decided_on_again(ring: Arena) -> None:
    flow = Baton().add("a", noop.new())
    flow.add("b", noop.new(), deps=["a"], ignore_discarded=True, unless={"a": 2})
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await fail(ring, workflow["a"])
    (job,) = await ring.claim()
    options = asked("failed", None, None, keep_memos=False, interrupt=False)
    await retry_workflow(ring.right, workflow.id, options, TOLD, notify=False)
    await sleep(ring, job.id)
    assert await ring.violations() == []


async def test_nothing_is_performed_before_its_condition_can_be_decided(ring: Arena) -> None:
    flow = Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"], when={"a": 1})
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    job = await move(ring, workflow["b"])
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'completed',"
        " completed_at = timezone('UTC', now()) - interval '1 hour' WHERE id = $1",
        workflow["a"],
    )
    outcome = await gate(ring, job)
    assert outcome.state is JobState.SUSPENDED
    await hold(ring.right, [outcome], notify=False)
    await Sweeper().settle(ring.right, EngineSettings())
    assert (await ring.facts(workflow["b"])).settled == "skipped"


async def test_a_doomed_step_that_was_given_back_outlives_no_pause(ring: Arena) -> None:
    flow = Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"])
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await move(ring, workflow["b"])
    await fail(ring, workflow["a"])
    outcome = ring.ended(workflow["b"], JobState.AVAILABLE, attempt_change=-1)
    await requeue_jobs(ring.right, [outcome], notify=False)
    await pause_workflow(ring.right, workflow.id, TOLD, notify=False)
    await resume_workflow(ring.right, workflow.id, TOLD, notify=False)
    (job,) = await ring.claim()
    assert (await gate(ring, job)).state is JobState.CANCELLED


async def test_a_doomed_step_that_was_given_back_outlives_no_retry(ring: Arena) -> None:
    flow = Baton().add("a", noop.new()).add("b", noop.new())
    flow.add("c", noop.new(), deps=["a", "b"], ignore_discarded=True)
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await move(ring, workflow["c"])
    outcome = ring.ended(workflow["a"], JobState.CANCELLED, error="x")
    await settle_failures(ring.right, [outcome], notify=False)
    await fail(ring, workflow["b"])
    outcome = ring.ended(workflow["c"], JobState.AVAILABLE, attempt_change=-1)
    await requeue_jobs(ring.right, [outcome], notify=False)
    await complete_step(ring.right, workflow.id, "b", '{"value": 1}', TOLD, notify=False)
    (job,) = await ring.claim()
    assert (await gate(ring, job)).state is JobState.CANCELLED


async def test_a_step_whose_wait_had_ended_is_decided_on_when_it_sleeps(ring: Arena) -> None:
    flow = Baton().add("a", noop.new())
    flow.add("b", noop.new(), deps=["a"], ignore_discarded=True, unless={"a": 2})
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await fail(ring, workflow["a"])
    (job,) = await ring.claim()
    await sleep(ring, job.id)
    await move(ring, job.id)
    await send_event(workflow.id, "x", 1, conn=ring.monitor)
    options = asked("failed", None, None, keep_memos=False, interrupt=False)
    await retry_workflow(ring.right, workflow.id, options, TOLD, notify=False)
    await ring.claim()
    await settle(ring.right, ring.done(workflow["a"], value=2))
    # Its code had come to the wait before the event came.
    await sleep(ring, job.id)
    assert (await ring.facts(workflow["b"])).settled == "skipped"
    assert await ring.violations() == []


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("ended", ["discarded", "skipped"])
async def test_a_step_that_is_ruled_out_while_it_runs_does_not_sleep(
    ring: Arena, ended: str, paused: bool
) -> None:
    """Its wait would end, and nothing would ever wake it: the cascade has been there."""
    (workflow,) = await ring.insert(Baton().add("a", noop.new()).add("d", noop.new(), deps=["a"]))
    await ring.claim()
    await move(ring, workflow["d"])
    skipped = ended == "skipped"
    state = JobState.CANCELLED if skipped else JobState.DISCARDED
    outcome = ring.ended(workflow["a"], state, error="x", skipped=skipped)
    await settle_failures(ring.right, [outcome], notify=False)
    if paused:
        await pause_workflow(ring.right, workflow.id, TOLD, notify=False)
    await sleep(ring, workflow["d"])
    (claimed,) = await ring.claim()
    decided = await gate(ring, claimed)
    assert (decided.state, decided.skipped) == (JobState.CANCELLED, skipped)
    await settle_failures(ring.right, [decided], notify=False)
    assert (await ring.facts(workflow["d"])).settled == ("skipped" if skipped else "cancelled")
    assert await ring.violations() == []


async def test_a_step_that_is_ruled_out_tells_its_sleep_twice(ring: Arena) -> None:
    """The reply of the first commit was lost."""
    (workflow,) = await ring.insert(Baton().add("a", noop.new()).add("d", noop.new(), deps=["a"]))
    await ring.claim()
    await move(ring, workflow["d"])
    await fail(ring, workflow["a"])
    wait = NewWait(("x",), 1, replay_key="#1")
    outcome = ring.ended(workflow["d"], JobState.SUSPENDED, wait=wait)
    for _ in range(2):
        effects = await suspend(ring.right, [outcome], notify=False)
        assert effects.accepted == {workflow["d"]}
