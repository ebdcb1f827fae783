"""The clock of the database was set back, or another server's is behind: what was stamped before
lies in the future.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from baton import Baton, Plugin, Step, worker
from baton.insights import Insights
from baton.runtime import rescue as rescues
from baton.runtime.rescue import Rescuer
from baton.store.jobs import find_orphans
from baton.store.store import Store, store_of
from support.running import Run, Tables, beat, beating, running
from support.waiting import eventually

QUICK: Any = {"heartbeat_interval": 0.1, "rescue_after": 0.6, "rescue_interval": 0.03}
LATER = "now() + interval '1 hour'"
LATER_UTC = "timezone('UTC', now()) + interval '1 hour'"


@worker(name="clock.works")
async def works(step: Step) -> int:
    return step.attempt


def later(*names: str) -> Baton:
    workflow = Baton()
    for name in names:
        workflow.add(name, works.new(), schedule_in=1_000)
    return workflow


async def claimed(tables: Tables, workflow: Baton, name: str, by: object, **more: object) -> None:
    """The job of a step as an engine has it that runs it."""
    await tables.change(
        workflow,
        name,
        state="'executing'",
        attempt=1,
        **{
            "attempted_at": "timezone('UTC', now())",
            "attempted_by": f"'{{node,{by},baton}}'",
            **more,
        },
    )


async def known(tables: Tables, engine: UUID, seen_at: str = LATER) -> None:
    await tables.execute(
        "INSERT INTO baton.baton_engines (id, name, node, rescue_after, seen_at, steady_since)"
        f" VALUES ($1, 'dead', 'node', 0.6, {seen_at}, {seen_at})",
        engine,
    )


async def test_an_engine_that_died_before_is_rescued_from(dsn: str) -> None:
    """Its last beat lies an hour ahead. A living one's would not: the next overwrites it."""
    dead, workflow = uuid4(), later("a")
    async with running(dsn, **QUICK) as run:
        await known(run.tables, dead)
        await run.insert(workflow)
        await claimed(run.tables, workflow, "a", dead)
        await run.end(workflow)
        row = await run.tables.step(workflow, "a")
        assert row.error == f"rescued: engine {dead} stopped while running it"


async def test_an_engine_that_lived_through_it_goes_on_rescuing(dsn: str) -> None:
    """Its own beats were stamped ahead too: since then it would have to be steady for an hour."""
    dead, workflow = uuid4(), later("a")
    async with running(dsn, **QUICK) as run:
        await run.insert(workflow)
        await run.tables.execute(
            f"UPDATE baton.baton_engines SET seen_at = {LATER}, steady_since = {LATER}"
        )
        await claimed(run.tables, workflow, "a", dead)
        await run.end(workflow)


async def test_one_that_beats_on_is_not_called_dead(dsn: str) -> None:
    """Between the jump and its next beat its stamp lies ahead, and it lives."""
    asking, living = uuid4(), uuid4()
    async with running(dsn, queues={}) as run:
        database = store_of(run.engine)
        workflow = later("a")
        await run.insert(workflow)
        await claimed(run.tables, workflow, "a", living)
        await known(run.tables, living)
        await beating(database, asking, rescue_after=6.0)

        async def orphans() -> int:
            return len(await asked(database, asking))

        assert await orphans() == 0
        await beat(database, asking, 6.0)
        assert await orphans() == 0
        # What lay ahead counts from that beat on: silent for long enough, it is dead.
        await run.tables.execute(
            "UPDATE baton.baton_engines SET seen_at = seen_at - interval '7 s' WHERE id = $1",
            living,
        )
        assert await orphans() == 1
        await run.engine.workflow(workflow.workflow_id).cancel()


async def asked(database: Store, engine: UUID) -> list[object]:
    found = await find_orphans(
        database,
        rescue_after=6.0,
        engine=engine,
        known=[],
        lost_after=60,
        foreign_after=None,
        after=0,
        limit=10,
    )
    return list(found)


@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_a_claim_of_the_future_is_as_old_as_it_was_seen(
    dsn: str, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """Those known by their age only: a claim whose reply was lost, and one of another host."""
    now = 1_000.0
    monkeypatch.setattr(rescues, "monotonic", lambda: now)
    workflow = later("a")
    options: Any = {**QUICK, "rescue_interval": 1_000.0}
    async with running(dsn, command_timeout=30, foreign_rescue_after=60, **options) as run:
        await run.insert(workflow)
        columns: Any = {} if whose == "own" else {"attempted_by": "'{host}'"}
        by = run.engine.engine_id
        await claimed(run.tables, workflow, "a", by, attempted_at=LATER_UTC, **columns)
        rescue = made(run).rescue
        await rescue()
        now += 59
        await rescue()
        assert (await run.tables.step(workflow, "a")).state == "executing"
        now += 2
        await rescue()
        assert (await run.tables.step(workflow, "a")).errors[0]["rescued"] is True
        await run.end(workflow)


def made(run: Run) -> Rescuer:
    """Another rescuer of the same engine, to be called by hand."""
    runtime = run.engine._parts.runtime
    return Rescuer(
        store_of(run.engine),
        run.engine.settings,
        run.engine.engine_id,
        runtime._ledger,
        runtime.producer,
    )


@pytest.mark.parametrize("how", ["completed", "ended by hand"])
async def test_a_dependent_inserted_before_runs_at_once(dsn: str, how: str) -> None:
    """By the hot path and by the slow one: it was given no time of its own."""
    workflow = later("a").add("b", works.new(), deps=["a"])
    async with running(dsn, **QUICK) as run:
        await run.insert(workflow)
        await run.tables.change(workflow, "b", scheduled_at=LATER_UTC, inserted_at=LATER_UTC)
        if how == "completed":
            await run.tables.change(workflow, "a", scheduled_at="timezone('UTC', now())")
        else:
            await run.tables.change(workflow, "a", state="'completed'")
            await Plugin().sweep(run.engine.database)
        await run.end(workflow)


async def test_one_with_a_time_of_its_own_waits_for_it(dsn: str) -> None:
    workflow = later("a").add("b", works.new(), deps=["a"], schedule_in=1_000)
    async with running(dsn, **QUICK) as run:
        await run.insert(workflow)
        await run.tables.change(workflow, "a", scheduled_at="timezone('UTC', now())")
        await run.tables.until(workflow, "b", "scheduled")
        await run.engine.workflow(workflow.workflow_id).cancel()


async def test_a_job_completed_before_is_settled_by_the_sweep(dsn: str) -> None:
    workflow = later("a", "young")
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        await run.tables.change(workflow, "a", state="'completed'", completed_at=LATER_UTC)
        now = "timezone('UTC', now()) + interval '1 s'"
        await run.tables.change(workflow, "young", state="'completed'", completed_at=now)
        await Plugin().sweep(run.engine.database)
        assert (await run.tables.step(workflow, "a")).settled == "completed"
        # A host may still bring its result.
        assert (await run.tables.step(workflow, "young")).settled is None
        await run.tables.change(workflow, "young", completed_at=LATER_UTC)
        await Plugin().sweep(run.engine.database)


async def test_insights_call_no_stamp_of_the_future_alive_for_long(dsn: str) -> None:
    async with running(dsn, **QUICK) as run:
        await known(run.tables, uuid4())

        async def gone() -> bool:
            return [row.live for row in await Insights(run.engine.database).engines()] == [True]

        await eventually(gone)
