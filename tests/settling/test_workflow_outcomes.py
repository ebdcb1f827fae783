"""Which of the three outcomes a workflow has: completed, failed, or cancelled because nothing was
discarded.
"""

from __future__ import annotations

import pytest

from baton import Baton, Cancel, Discard, Step, worker
from baton.events import WorkflowCancelled, WorkflowFailed, WorkflowFinished
from baton.insights import WorkflowState
from support.running import Run, running


@worker
async def works(step: Step) -> str:
    return "done"


@worker
async def withdraws(step: Step) -> Cancel:
    return Cancel("not needed")


@worker
async def breaks(step: Step) -> Discard:
    return Discard("broken")


def later() -> Baton:
    """Two steps that wait for an event that never comes, below one that has completed."""
    return Baton().add("a", works.new()).wait("w", any_of=["go"], deps=["a"])


async def seen(run: Run, workflow: Baton) -> tuple[str, tuple[str, ...]]:
    """How it ended, when everybody says the same."""
    end = await run.end(workflow)
    row = (await run.engine.insights.workflow(workflow.workflow_id)).workflow
    assert row.state == WorkflowState(end.outcome)
    listed = (await run.engine.insights.workflows(end.outcome)).rows
    assert row in listed
    (finished,) = await run.events.until(WorkflowFinished, workflow_id=workflow.workflow_id)
    assert finished.outcome is end.outcome
    assert await run.tables.violations() == []
    return end.outcome, end.failed_steps


async def test_what_was_cancelled_by_request_is_cancelled(dsn: str) -> None:
    async with running(dsn) as run:
        whole = later()
        await run.insert(whole)
        await run.tables.until(whole, "a", "completed")
        await run.engine.workflow(whole.workflow_id).cancel("no longer wanted")
        assert await seen(run, whole) == ("cancelled", ("w",))
        (row,) = (await run.engine.insights.workflows("cancelled")).rows
        assert (row.failed_step, row.error) == ("w", "no longer wanted")

        one = later().add("b", works.new(), deps=["w"], ignore_cancelled=True)
        await run.insert(one)
        await run.engine.workflow(one.workflow_id).cancel_step("w")
        assert await seen(run, one) == ("cancelled", ("w",))

        (told, other) = await run.events.until(WorkflowCancelled, 2)
        assert (told.workflow_id, told.cancelled_count, told.total_count) == (
            whole.workflow_id,
            1,
            2,
        )
        assert (other.workflow_id, other.WARNS) == (one.workflow_id, False)
        assert run.events.of(WorkflowFailed) == []


@pytest.mark.parametrize("ignored", [False, True])
async def test_a_step_that_cancels_itself_cancels(dsn: str, ignored: bool) -> None:
    async with running(dsn) as run:
        workflow = Baton(ignore_cancelled=ignored).add("a", withdraws.new())
        workflow.add("b", works.new(), deps=["a"])
        await run.insert(workflow)
        assert await seen(run, workflow) == ("cancelled", ("a",) if ignored else ("a", "b"))


@pytest.mark.parametrize(
    ("on_timeout", "outcome"), [("cancel", "cancelled"), ("discard", "failed")]
)
async def test_a_wait_that_is_over_ends_as_it_says(dsn: str, on_timeout: str, outcome: str) -> None:
    async with running(dsn) as run:
        workflow = Baton().wait("w", any_of=["go"], timeout=0.01, on_timeout=on_timeout)
        await run.insert(workflow)
        assert await seen(run, workflow) == (outcome, ("w",))


@pytest.mark.parametrize("ignored", [False, True])
async def test_one_discarded_step_fails_it_whatever_is_cancelled(dsn: str, ignored: bool) -> None:
    """Also where somebody cancels the rest afterwards, and where what is below ignores it."""
    async with running(dsn) as run:
        workflow = later().add("c", withdraws.new())
        workflow.add("d", breaks.new()).add("e", works.new(), deps=["d"], ignore_discarded=ignored)
        await run.insert(workflow)
        for name, states in (("a", "completed"), ("c", "cancelled"), ("d", "discarded")):
            await run.tables.until(workflow, name, states)
        await run.tables.until(workflow, "e", "completed" if ignored else "cancelled")
        await run.engine.workflow(workflow.workflow_id).cancel()
        failed = ("w", "c", "d") if ignored else ("w", "c", "d", "e")
        assert await seen(run, workflow) == ("failed", failed)
        assert len(run.events.of(WorkflowFailed)) == 1
        assert run.events.of(WorkflowCancelled) == []


async def test_a_retry_of_a_cancelled_workflow_ends_anew(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = Baton().wait("w", any_of=["go"])
        await run.insert(workflow)
        handle = run.engine.workflow(workflow.workflow_id)
        await handle.cancel()
        assert (await seen(run, workflow))[0] == "cancelled"
        await handle.retry()
        assert (await run.engine.insights.workflows("cancelled")).rows == ()
        await handle.send_event("go")
        assert (await handle.completion(timeout=30)).outcome == "completed"
        assert (await handle.completion(run=1)).outcome == "cancelled"
