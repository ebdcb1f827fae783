"""A job in a state of a newer Oban has not ended and is somebody else's: nothing fails for it."""

from __future__ import annotations

import pytest

from baton import Baton, Cancel, Step, insert_all, worker
from baton.errors import CompletionTimeoutError
from baton.insights import Insights
from baton.words.events import StepExecuting
from baton.words.states import JobState, state_of
from support.gates import Gate
from support.running import Run, running

go = Gate()

PAUSED = "ALTER TYPE baton.oban_job_state ADD VALUE 'paused'"


@worker
async def ends(step: Step, *, fails: bool = False) -> Cancel | None:
    await go.wait()
    return Cancel("no") if fails else None


@worker
async def quick(step: Step) -> None:
    return None


def pair(*, fails: bool) -> Baton:
    return Baton().add("a", ends.new(fails=fails)).add("b", quick.new(), deps=["a"])


async def paused(run: Run, *, fails: bool) -> Baton:
    """A workflow whose second step's job somebody has paused while the first runs."""
    workflow = pair(fails=fails)
    await run.insert(workflow)
    await run.events.until(StepExecuting, workflow_id=workflow.workflow_id)
    await run.tables.change(workflow, "b", state="'paused'")
    return workflow


@pytest.mark.parametrize("fails", [False, True], ids=["completed", "failed"])
async def test_a_cascade_passes_it_by(dsn: str, fails: bool) -> None:
    others = [pair(fails=fails) for _ in range(20)]
    async with running(dsn, queues={"default": 50}, settlers=1) as run:
        await run.tables.execute(PAUSED)
        victim = await paused(run, fails=fails)
        await insert_all(others, engine=run.engine)
        await run.events.until(StepExecuting, 21)
        go.set()
        for workflow in others:
            assert (await run.end(workflow)).outcome == ("cancelled" if fails else "completed")
        ended = await run.tables.until(victim, "a", "cancelled" if fails else "completed")
        assert ended.settled == ended.state
        assert (await run.tables.step(victim, "b")).state == "paused"
        # Whoever paused it lets it go: then the gate decides.
        await run.tables.change(victim, "b", state="'available'")
        run.engine.queue("default").resume()
        assert (await run.end(victim)).outcome == ("cancelled" if fails else "completed")
        assert len(run.events.of(StepExecuting, step="a")) == 21


async def test_it_is_shown_as_it_is(dsn: str) -> None:
    async with running(dsn) as run:
        await run.tables.execute(PAUSED)
        victim = await paused(run, fails=False)
        insights = Insights(run.engine.database)
        rows = (await insights.steps(victim.workflow_id)).rows
        assert [row.job_state for row in rows] == ["executing", "paused"]
        why = await insights.why(victim.workflow_id, "b")
        assert (why.reason, why.job_state) == ("unknown_state", "paused")
        assert "is paused, a state that Baton does not know" in why.sentence
        with pytest.raises(CompletionTimeoutError, match="paused"):
            await run.engine.workflow(victim.workflow_id).completion(timeout=0.05)
        go.set()
        await run.engine.workflow(victim.workflow_id).cancel()
        assert (await run.end(victim)).outcome == "cancelled"
        assert (await run.tables.step(victim, "b")).state == "cancelled"


def test_an_unknown_state_equals_its_name_only() -> None:
    state = state_of("paused")
    assert (state, str(state), state.value) == ("paused", "paused", "paused")
    assert state not in tuple(JobState)
    assert state_of("executing") is JobState.EXECUTING
    with pytest.raises(ValueError, match="paused"):
        JobState("paused")
