"""A step that has failed keeps the error it failed with, however often its job is moved by hand."""

from __future__ import annotations

from typing import Any

import pytest

from baton import Baton, Step, worker
from baton.events import StepCancelled, StepDiscarded
from baton.insights import Insights
from support.running import Run, running


@worker(name="keeps.fail", max_attempts=3, backoff=0)
async def fail(step: Step) -> None:
    raise ValueError(f"the card was refused at attempt {step.attempt}")


@worker(name="keeps.after")
async def after(step: Step) -> None: ...


async def facts(run: Run, workflow: Baton, name: str) -> Any:
    return await run.tables.rows(
        "SELECT state::text, attempt, errors::text, cancelled_at, discarded_at "
        "FROM baton.oban_jobs WHERE id = $1",
        (await run.tables.step(workflow, name)).id,
    )


@pytest.mark.parametrize("name", ["failed", "after", "after that"])
async def test_a_failure_is_kept_when_its_job_is_made_available(dsn: str, name: str) -> None:
    workflow = (
        Baton()
        .add("failed", fail.new())
        .add("after", after.new(), deps=["failed"])
        .add("after that", after.new(), deps=["after"])
    )
    async with running(dsn) as run:
        await run.workflow(workflow)
        before = await facts(run, workflow, name)
        look = Insights(run.engine.database)
        why = await look.why(workflow.workflow_id, name)
        kind = StepDiscarded if name == "failed" else StepCancelled
        known = len(run.events.of(kind, step=name))
        for times in (1, 2, 3):
            await run.tables.change(workflow, name, state="'available'", max_attempts=20)
            run.engine.queue("default").resume()
            await run.events.until(kind, known + times, step=name)
        assert await facts(run, workflow, name) == before
        again = await look.why(workflow.workflow_id, name)
        assert (again.error, again.since) == (why.error, why.since)
        if name == "failed":
            assert "the card was refused at attempt 3" in str(again.error)
