"""Ids of jobs come from a sequence that others may set back: a job is a step's by its meta, not by
its id alone.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from baton import Baton, Discard, Plugin, Step, send_event, worker
from baton.completion import check
from baton.insights import Insights
from baton.store.jobs import Claimant, read_claims, settle_and_claim
from baton.store.store import store_of
from baton.words.events import JobsRescued, StepCompleted, StepDiscarded
from baton.words.rows import Demand
from support.running import Run, fast, opened, recorded
from support.waiting import DEADLINE

BEGIN_ANEW = "TRUNCATE baton.oban_jobs RESTART IDENTITY"
NODES = (
    "SELECT job_id, state::text AS state, pending, (result -> 'value')::text AS result"
    " FROM baton.workflow_nodes ORDER BY job_id"
)

performed: list[str] = []


@worker(name="reused.works")
async def works(step: Step, *, who: str = "step") -> dict[str, Any]:
    performed.append(who)
    return {"seen": await step.results(), "own": await step.own_result(), "name": step.name}


@worker(name="reused.refuses")
async def refuses(step: Step) -> Discard:
    return Discard("no")


@worker(name="reused.waits")
async def waits(step: Step) -> str:
    return str(await step.wait_for("go"))


@pytest.fixture(autouse=True)
def fresh() -> None:
    performed.clear()


@asynccontextmanager
async def begun(dsn: str, **options: Any) -> AsyncIterator[Run]:
    """As `running`, without the check of the tables: a truncated one breaks their rules."""
    async with opened(dsn) as tables:
        with recorded() as events:
            async with fast(dsn, **options) as engine:
                yield Run(engine, events, tables)


async def foreign(run: Run, count: int = 1, **columns: str) -> None:
    """Insert jobs as any host of the table does."""
    given = {"worker": "'reused.works'", "args": """'{"who": "foreign"}'""", **columns}
    await run.tables.execute(
        f"INSERT INTO baton.oban_jobs ({', '.join(given)}) "
        f"SELECT {', '.join(given.values())} FROM generate_series(1, {count})"
    )
    run.engine.wake("default")


async def settled(run: Run) -> list[tuple[str | None, str | None]]:
    return [(row["state"], row["result"]) for row in await run.tables.rows(NODES)]


def sleeping() -> Baton:
    """Two steps, one behind the other, that nobody runs."""
    return (
        Baton()
        .add("a", works.new(), schedule_in=1_000)
        .add("b", works.new(), deps=["a"], schedule_in=1_000)
    )


async def test_a_job_with_the_id_of_a_completed_step_is_performed(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "baton")
    async with begun(dsn) as run:
        await run.workflow(Baton().add("a", works.new()).add("b", works.new(), deps=["a"]))
        before = await settled(run)
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run, 2)
        await run.events.until(StepCompleted, 2, step=None)
        assert performed == ["step", "step", "foreign", "foreign"]
        assert await settled(run) == before
        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        named = [text.partition(" of a workflow's step")[0] for text in errors]
        assert named == ["job 1 has the id", "job 2 has the id"]


async def test_what_it_is_told_is_not_the_steps(dsn: str) -> None:
    """Neither the step's result nor those of its dependencies are for another job."""
    results: list[Any] = []

    @worker(name="reused.tells")
    async def tells(step: Step) -> None:
        results.append((await step.results(), await step.own_result(), step.workflow_id))

    async with begun(dsn) as run:
        await run.workflow(Baton().add("a", works.new()).add("b", works.new(), deps=["a"]))
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run, 2, worker="'reused.tells'", args="'{}'")
        await run.events.until(StepCompleted, 2, worker="reused.tells")
        assert results == [({}, None, None)] * 2


async def test_jobs_do_not_end_the_steps_whose_ids_they_have(dsn: str) -> None:
    workflow = sleeping()
    async with begun(dsn) as run:
        await run.insert(workflow)
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run)
        await foreign(run, worker="'reused.refuses'", args="'{}'")
        await run.events.until(StepCompleted, step=None)
        await run.events.until(StepDiscarded, step=None)
        assert await settled(run) == [(None, None)] * 2
        # The steps' own jobs are gone, and so the sweep takes it.
        await Plugin().sweep(run.engine.database)
        end = await run.engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        assert (end.outcome, end.failed_steps) == ("cancelled", ("a", "b"))


async def test_another_hosts_check_does_not_settle_the_step(dsn: str) -> None:
    async with begun(dsn, queues={}) as run:
        await run.insert(sleeping())
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run)
        assert await check(1, "completed", result=7) is None
        assert await settled(run) == [(None, None)] * 2


async def test_a_cancelled_workflow_leaves_them_alone(dsn: str) -> None:
    workflow = sleeping()
    async with begun(dsn, queues={}) as run:
        await run.insert(workflow)
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run, 2, state="'suspended'")
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 0
        assert (
            await run.engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        ).outcome == "cancelled"
        states = await run.tables.rows("SELECT state::text FROM baton.oban_jobs")
        assert [row["state"] for row in states] == ["suspended"] * 2


@pytest.mark.parametrize("how", ["completes", "is refused"])
async def test_a_dependency_releases_only_its_own_dependent(dsn: str, how: str) -> None:
    """By the hot path, and by the slow one."""
    first = works.new() if how == "completes" else refuses.new()
    workflow = Baton().add("a", first, schedule_in=1_000)
    workflow.add("b", works.new(), deps=["a"], ignore_discarded=True)
    async with begun(dsn) as run:
        await run.insert(workflow)
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id = 2")
        await run.tables.execute(
            "INSERT INTO baton.oban_jobs (id, worker, state) OVERRIDING SYSTEM VALUE "
            "VALUES (2, 'reused.works', 'suspended')"
        )
        await run.tables.change(workflow, "a", scheduled_at="timezone('UTC', now())")
        await run.events.until(StepCompleted if how == "completes" else StepDiscarded, step="a")
        state = "SELECT state::text FROM baton.oban_jobs WHERE id = 2"
        assert await run.tables.value(state) == "suspended"


async def test_an_event_wakes_only_the_step_that_waits(dsn: str) -> None:
    workflow = Baton().add("a", waits.new()).wait("gate", any_of=["open"])
    async with begun(dsn) as run:
        await run.insert(workflow)
        await run.tables.until(workflow, "a", "suspended")
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run, 2, state="'suspended'")
        await send_event(workflow.workflow_id, "go", 1, engine=run.engine)
        await send_event(workflow.workflow_id, "open", 1, engine=run.engine)
        states = await run.tables.rows("SELECT state::text FROM baton.oban_jobs")
        assert [row["state"] for row in states] == ["suspended"] * 2
        assert [state for state, _ in await settled(run)] == [None, None]


async def test_a_rescued_one_discards_no_step(dsn: str) -> None:
    workflow = sleeping()
    async with begun(dsn, heartbeat_interval=0.1, rescue_after=0.4, rescue_interval=0.03) as run:
        await run.insert(workflow)
        await run.tables.execute(BEGIN_ANEW)
        await foreign(
            run,
            state="'executing'",
            attempt="1",
            attempted_at="timezone('UTC', now())",
            attempted_by=f"ARRAY['node', '{uuid4()}', 'baton', '1']",
            errors="""'[""" + ",".join(['{"rescued": true}'] * 10) + """]'""",
        )
        await run.events.until(JobsRescued)
        (told,) = await run.events.until(StepDiscarded)
        assert (told.job_id, told.step, told.workflow_id) == (1, None, None)
        assert await settled(run) == [(None, None)] * 2


async def test_a_claim_whose_reply_was_lost_is_no_step_either(dsn: str) -> None:
    async with begun(dsn, queues={}) as run:
        await run.insert(sleeping())
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run)
        claimant = Claimant("node", uuid4(), "7")
        database = store_of(run.engine)
        await settle_and_claim(database, [], [Demand("default", 1, True)], claimant, notify=False)
        ((_, job),) = await read_claims(database, claimant, ["7"])
        assert (job.id, job.node) == (1, None)


async def test_insights_do_not_take_them_for_steps(dsn: str) -> None:
    workflow = sleeping()
    async with begun(dsn, queues={}) as run:
        await run.insert(workflow)
        await run.tables.execute(BEGIN_ANEW)
        await foreign(run, 2)
        insights = Insights(run.engine.database)
        assert (await insights.workflow(workflow.workflow_id)).counts.gone == 2
        steps = await insights.steps(workflow.workflow_id)
        assert [step.job_state for step in steps.rows] == [None, None]
        assert (await insights.why(workflow.workflow_id, "a")).reason == "gone"
