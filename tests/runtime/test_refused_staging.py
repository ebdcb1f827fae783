"""A scheduled job that the database refuses to make available keeps no other from its queue."""

from __future__ import annotations

import pytest

from baton import Baton, Step, insert_all, worker
from baton.runtime import quarantine
from baton.runtime.stager import Stager
from support.refusing import CODES, accept, refuse
from support.running import opened, running
from support.waiting import eventually


@worker(name="staging.fine")
async def fine(step: Step) -> int:
    return step.attempt


@worker(name="staging.refused")
async def refused(step: Step) -> int:
    return step.attempt


_BAD = "NEW.worker = 'staging.refused' AND NEW.state = 'available'"


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "at commit"])
@pytest.mark.parametrize("code", CODES)
async def test_a_job_that_cannot_be_staged_keeps_no_other(
    dsn: str, code: str, deferred: bool, caplog: pytest.LogCaptureFixture
) -> None:
    late = Baton().add("late", refused.new(), schedule_in=0.1)
    workflows = [
        Baton().add("a", fine.new(), schedule_in=0.2, queue=queue)
        for queue in ("default", "other", "default", "other")
    ]
    async with running(dsn, queues={"default": 5, "other": 5}) as run:
        await refuse(run.tables, _BAD, code, deferred=deferred)
        await insert_all([late, *workflows], engine=run.engine)
        for workflow in workflows:
            assert (await run.end(workflow)).outcome == "completed"
        # Again and again, and others that come due meanwhile are not kept waiting.
        for _ in range(3):
            await run.completed(Baton().add("a", fine.new(), schedule_in=0.05))
        row = await run.tables.step(late, "late")
        assert row.state == "scheduled"
        lines = [text for text in caplog.messages if f"job {row.id} cannot be staged" in text]
        assert len(lines) == 1, caplog.messages
        assert code in lines[0]
        await accept(run.tables)
        await run.end(late)


async def test_a_failed_attempt_that_cannot_be_staged_keeps_no_other(dsn: str) -> None:
    """The same by the state of a retry, for many at once in one batch."""
    tried = Baton()
    for number in range(40):
        tried.add(str(number), (refused if number % 10 == 3 else fine).new(), schedule_in=60)
    async with running(dsn) as run:
        await refuse(run.tables, _BAD, "AB123")
        await run.insert(tried)
        await run.tables.execute(
            "UPDATE baton.oban_jobs SET state = 'retryable', attempt = 1,"
            " scheduled_at = timezone('UTC', now())"
        )
        for number in range(40):
            if number % 10 != 3:
                await run.tables.until(tried, str(number), "completed")
        await accept(run.tables)
        await run.end(tried)


async def test_a_batch_that_takes_too_long_is_halved(dsn: str) -> None:
    """100 rows take 10 ms each, and a statement may take 0.3 s."""
    workflow = Baton()
    for number in range(100):
        workflow.add(str(number), fine.new(), schedule_in=60)
    async with opened(dsn) as tables:
        await tables.execute(
            "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$"
        )
        await tables.execute(
            "CREATE TRIGGER slow BEFORE UPDATE ON baton.oban_jobs FOR EACH ROW"
            " WHEN (OLD.state = 'scheduled' AND NEW.state = 'available')"
            " EXECUTE FUNCTION public.slow()"
        )
        await tables.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''300ms''',"
            " current_database()); END $$"
        )
        await tables.execute("SET statement_timeout = 0")
        async with running(dsn, queues={"default": 100}, stage_interval=0.2) as run:
            await run.insert(workflow)
            await tables.execute("UPDATE baton.oban_jobs SET scheduled_at = timezone('UTC', now())")

            async def staged() -> bool:
                query = "SELECT count(*) FROM baton.oban_jobs WHERE state = 'scheduled'"
                return not await tables.value(query)

            await eventually(staged)
            await run.end(workflow)


async def test_more_refused_jobs_than_are_left_out_one_by_one(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MOST", 5)
    workflow = Baton()
    for number in range(30):
        workflow.add(str(number), refused.new(), schedule_in=0.1 + number / 1_000)
    last = Baton().add("a", fine.new(), schedule_in=0.2)
    async with running(dsn) as run:
        await refuse(run.tables, _BAD, "AB123")
        await insert_all([workflow, last], engine=run.engine)
        await run.end(last)
        await accept(run.tables)
        await run.end(workflow)


async def test_a_batch_grows_again(dsn: str) -> None:
    """What was too slow once is not small for ever."""
    async with running(dsn, stage_interval=0.01, stage_limit=64) as run:
        stager: Stager = run.engine._parts.runtime._stager
        stager._size = 1

        async def grown() -> bool:
            return stager._size == 64

        await eventually(grown)
