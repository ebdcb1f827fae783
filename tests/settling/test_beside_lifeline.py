"""What other runtimes of the table do to a step behind Baton's back is told by its cause."""

from __future__ import annotations

import logging

import pytest

from baton import Baton, Plugin, Step, worker
from baton.insights import Insights
from support.running import running


@worker(name="lifeline.works")
async def works(step: Step) -> int:
    return 1


def later() -> Baton:
    workflow = Baton().add("a", works.new(), schedule_in=1_000, max_attempts=3)
    return workflow.add("b", works.new(), deps=["a"])


@pytest.mark.parametrize("errors", ["[]", '[{"attempt": 1, "error": "ValueError: old"}]', "null"])
async def test_a_step_that_a_lifeline_discarded_has_an_error(dsn: str, errors: str) -> None:
    """It leaves none: the job is found discarded after its last attempt."""
    workflow = later()
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        await run.tables.change(
            workflow, "a", state="'discarded'", attempt=3, errors=f"'{errors}'::jsonb"
        )
        for _ in range(2):
            await Plugin().sweep(run.engine.database)
        row = await run.tables.step(workflow, "a")
        assert row.settled == "discarded"
        assert "The Lifeline of another Oban runtime" in row.error
        assert sum("Lifeline" in str(error) for error in row.errors) == 1
        assert row.errors[-1]["attempt"] == 3
        why = await Insights(run.engine.database).why(workflow.workflow_id, "a")
        assert why.error is not None
        assert "Lifeline" in why.error


@pytest.mark.parametrize("state", ["discarded", "cancelled"])
async def test_a_reason_that_is_there_stays_the_last(dsn: str, state: str) -> None:
    workflow = later()
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        errors = """'[{"attempt": 3, "error": "ValueError: mine"}]'"""
        if state == "cancelled":
            errors = "'[]'"
        await run.tables.change(workflow, "a", state=f"'{state}'", attempt=3, errors=errors)
        await Plugin().sweep(run.engine.database)
        row = await run.tables.step(workflow, "a")
        assert row.settled == state
        assert row.error == ("" if state == "cancelled" else "ValueError: mine")


async def test_a_job_that_vanished_may_have_been_completed(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = later()
    async with running(dsn, queues={}) as run:
        (job, _) = await run.insert(workflow)
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", job.id)
        why = await Insights(run.engine.database).why(workflow.workflow_id, "a")
        assert "may have completed it" in why.sentence
        with caplog.at_level(logging.WARNING, "baton"):
            await Plugin().sweep(run.engine.database)
        (told,) = [text for text in caplog.messages if "were deleted before" in text]
        assert f"jobs {job.id} were deleted" in told
        assert "may have completed it" in told
        assert "may have completed it" in (await run.tables.step(workflow, "b")).error
