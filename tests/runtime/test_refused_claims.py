"""A job whose claim the database refuses is passed by; what stands behind it is claimed."""

from __future__ import annotations

import pytest

from baton import Baton, Step, insert_all, worker
from baton.runtime import quarantine
from baton.words.events import StepSettled
from support.refusing import CODES, accept, refuse
from support.running import running

_BAD = "NEW.worker = 'claims.refused' AND NEW.state = 'executing'"


@worker(name="claims.fine")
async def fine(step: Step) -> int:
    return step.attempt


@worker(name="claims.refused")
async def refused(step: Step) -> int:
    return step.attempt


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "at commit"])
@pytest.mark.parametrize("code", CODES)
async def test_a_job_that_cannot_be_claimed_is_passed_by(
    dsn: str, code: str, deferred: bool, caplog: pytest.LogCaptureFixture
) -> None:
    # It stands before all others, in a queue of which one job is performed at a time.
    first = Baton().add("first", refused.new(), priority=0)
    behind = [
        Baton().add("a", fine.new(), queue=queue, priority=5)
        for queue in ("default", "other", "default", "other", "default", "default")
    ]
    async with running(dsn, queues={"default": 1, "other": 5}) as run:
        await refuse(run.tables, _BAD, code, deferred=deferred)
        await insert_all([first, *behind], engine=run.engine)
        for workflow in behind:
            assert (await run.end(workflow)).outcome == "completed"
        # Others that come meanwhile, also those that are as urgent, are claimed at once.
        for _ in range(5):
            await run.completed(Baton().add("a", fine.new()))
        row = await run.tables.step(first, "first")
        assert (row.state, row.attempt) == ("available", 0)
        lines = [text for text in caplog.messages if f"job {row.id} cannot be claimed" in text]
        assert len(lines) == 1, caplog.messages
        assert code in lines[0]
        await accept(run.tables)
        assert (await run.end(first)).outcome == "completed"


@pytest.mark.parametrize("dependent", [False, True])
async def test_outcomes_that_are_settled_with_a_refused_claim_are_written(
    dsn: str, dependent: bool
) -> None:
    """The job is found, or handed over, in the settlement of others' outcomes."""
    async with running(dsn, queues={"default": 3}) as run:
        await refuse(run.tables, _BAD, "AB123")
        workflow, late = Baton(ignore_discarded=True), Baton()
        for name in "abcde":
            workflow.add(name, fine.new())
        if dependent:
            workflow.add("late", refused.new(), deps=list("abcde"))
        else:
            late.add("late", refused.new(), priority=5)
        await insert_all([workflow] if dependent else [workflow, late], engine=run.engine)
        for name in "abcde":
            await run.events.until(StepSettled, step=name)
            assert (await run.tables.step(workflow, name)).state == "completed"
        await run.completed(Baton().add("a", fine.new(), priority=9))
        await accept(run.tables)
        await run.end(workflow if dependent else late)


async def test_many_jobs_that_cannot_be_claimed_are_passed_by(dsn: str) -> None:
    """More than one look takes: the quarantine grows until an innocent job is seen."""
    many = [Baton().add("bad", refused.new()) for _ in range(40)]
    last = Baton().add("a", fine.new(), priority=9)
    async with running(dsn, queues={"default": 7}) as run:
        await refuse(run.tables, _BAD, "AB123")
        await insert_all([*many, last], engine=run.engine)
        await run.end(last)
        await accept(run.tables)
        for workflow in many:
            await run.end(workflow)


async def test_more_refused_claims_than_are_left_out_one_by_one(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their queue is tried again later and later; other queues go on."""
    monkeypatch.setattr(quarantine, "MOST", 5)
    many = [Baton().add("bad", refused.new()) for _ in range(20)]
    async with running(dsn, queues={"default": 3, "other": 1}) as run:
        await refuse(run.tables, _BAD, "AB123")
        await insert_all(many, engine=run.engine)
        for _ in range(5):
            await run.completed(Baton().add("a", fine.new(), queue="other"))
        await accept(run.tables)
        for workflow in many:
            await run.end(workflow)


async def test_a_claim_that_takes_too_long_is_made_smaller(dsn: str) -> None:
    """Each job takes 20 ms to claim, a statement may take 0.3 s, and there is room for 60."""
    workflow = Baton()
    for number in range(60):
        workflow.add(str(number), fine.new())
    async with running(dsn, queues={"default": 60}) as run:
        run.engine.queue("default").pause()
        await run.tables.execute(
            "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$"
        )
        await run.tables.execute(
            "CREATE TRIGGER slow BEFORE UPDATE ON baton.oban_jobs FOR EACH ROW"
            " WHEN (OLD.state = 'available' AND NEW.state = 'executing')"
            " EXECUTE FUNCTION public.slow()"
        )
        await run.tables.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''300ms''',"
            " current_database()); END $$"
        )
        # Sessions that exist keep what they have.
        await run.tables.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'baton%'"
        )
        await run.insert(workflow)
        run.engine.queue("default").resume()
        assert (await run.end(workflow)).outcome == "completed"
