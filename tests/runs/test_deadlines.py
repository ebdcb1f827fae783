"""A workflow that has not ended by its deadline is cancelled, once, and told of."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from baton import Baton, Database, Discard, Plugin, Step, insert_all, worker
from baton.errors import InvalidOptionError
from baton.events import ActionDone, StepCancelled, StepInterrupted, WorkflowCancelled
from support.running import Run, running
from support.waiting import DEADLINE

PASSED = "UPDATE baton.workflow_deadlines SET deadline = now() - interval '1 s'"
COUNT = "SELECT count(*) FROM baton.workflow_deadlines"


@worker
async def works(step: Step) -> str:
    return "done"


@worker
async def hangs(step: Step) -> None:
    await asyncio.Event().wait()


@worker
async def breaks(step: Step) -> Discard:
    return Discard("broken")


def waiting(**options: Any) -> Baton:
    return Baton(**options).add("a", works.new()).wait("w", any_of=["go"], deps=["a"])


async def test_what_has_not_ended_is_cancelled(dsn: str) -> None:
    async with running(dsn, poll_interval=30) as run:
        flow = Baton(deadline=0.2).add("a", works.new()).add("h", hangs.new(), deps=["a"])
        await run.insert(flow.add("b", works.new(), deps=["h"], ignore_cancelled=True))
        end = await run.end(flow)
        assert (end.outcome, end.failed_steps) == ("cancelled", ("h", "b"))
        assert end.duration >= timedelta(seconds=0.2)
        for name in ("h", "b"):
            assert (await run.tables.step(flow, name)).error == "deadline passed"
        await run.events.until(StepInterrupted, step="h")
        assert {event.step for event in run.events.of(StepCancelled)} == {"h", "b"}
        assert len(run.events.of(WorkflowCancelled)) == 1
        (told,) = run.events.of(ActionDone)
        assert (told.action, told.actor, told.reason) == ("deadline", None, "deadline passed")
        (action,) = (await run.engine.insights.actions(flow.workflow_id)).rows
        assert (action.action, dict(action.result)) == ("deadline", {"cancelled": 2})
        at = datetime.fromisoformat(action.details["deadline"])
        assert at == end.inserted_at + timedelta(seconds=0.2)
        assert await run.tables.value(COUNT) == 0
        assert (await run.engine.insights.workflow(flow.workflow_id)).deadline is None


async def test_what_ends_in_time_is_left_alone(dsn: str) -> None:
    """Also with a discarded step; and those without a deadline have no row."""
    async with running(dsn) as run:
        flows = [Baton(deadline=timedelta(hours=1)).add("a", works.new()), waiting()]
        flows.append(Baton(deadline=datetime.now(UTC) + timedelta(hours=1)).add("a", breaks.new()))
        await insert_all(flows, engine=run.engine)
        ended = [await run.end(flows[0]), await run.end(flows[2])]
        assert [end.outcome for end in ended] == ["completed", "failed"]
        shown = await run.engine.insights.workflow(flows[0].workflow_id)
        assert shown.deadline == shown.workflow.inserted_at + timedelta(hours=1)
        assert (await run.engine.insights.workflow(flows[1].workflow_id)).deadline is None
        assert await run.tables.value(COUNT) == 2
        await run.tables.execute(PASSED)
        await Plugin().sweep(run.engine.database)
        assert await run.tables.value(COUNT) == 0
        assert (await run.engine.insights.actions()).rows == ()
        await run.engine.workflow(flows[1].workflow_id).cancel()


async def test_a_sweep_alone_cancels(dsn: str) -> None:
    """As a plugin does that runs without an engine; also one that is paused."""
    flow = waiting(deadline=datetime.now(UTC) - timedelta(seconds=1))
    async with running(dsn, queues={}) as run:
        await run.insert(flow)
        await run.engine.workflow(flow.workflow_id).pause()
        await Plugin().sweep(run.engine.database)
        assert (await run.end(flow)).outcome == "cancelled"


async def test_a_locked_workflow_is_passed_by(dsn: str) -> None:
    flows = [waiting(deadline=3_600) for _ in range(3)]
    plugin = Plugin()
    async with running(dsn, queues={}) as run:
        await insert_all(flows, engine=run.engine)
        await run.tables.execute(PASSED)
        held = await asyncpg.connect(dsn)
        try:
            async with held.transaction():
                lock = "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE"
                await held.execute(lock, flows[1].workflow_id)
                await plugin.sweep(run.engine.database)
                for flow in (flows[0], flows[2]):
                    assert (await run.end(flow)).outcome == "cancelled"
                assert await run.tables.value(COUNT) == 1
        finally:
            await held.close()
        await plugin.sweep(run.engine.database)
        assert (await run.end(flows[1])).outcome == "cancelled"


async def test_a_refused_one_keeps_back_no_other(dsn: str) -> None:
    flows = [waiting(deadline=3_600) for _ in range(3)]
    async with running(dsn, queues={}) as run:
        await insert_all(flows, engine=run.engine)
        await run.tables.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'no'; END $$;"
            "CREATE TRIGGER refuse BEFORE UPDATE ON baton.workflows FOR EACH ROW"
            f" WHEN (NEW.id = '{flows[0].workflow_id}') EXECUTE FUNCTION public.refuse()"
        )
        await run.tables.execute(PASSED)
        await Plugin().sweep(run.engine.database)
        for flow in flows[1:]:
            assert (await run.end(flow)).outcome == "cancelled"
        await run.tables.execute("DROP TRIGGER refuse ON baton.workflows")
        await Plugin().sweep(run.engine.database)
        assert (await run.end(flows[0])).outcome == "cancelled"


@pytest.mark.parametrize("passed", [True, False])
async def test_a_retry_has_no_passed_deadline(dsn: str, passed: bool) -> None:
    async def cancelled(run: Run, flow: Baton) -> None:
        await run.insert(flow)
        await run.engine.workflow(flow.workflow_id).cancel()
        if passed:
            await run.tables.execute(PASSED)

    async with running(dsn, queues={}) as run:
        flow = waiting(deadline=3_600)
        await cancelled(run, flow)
        handle = run.engine.workflow(flow.workflow_id)
        await handle.retry()
        assert ((await run.engine.insights.workflow(flow.workflow_id)).deadline is None) is passed
        await Plugin().sweep(run.engine.database)
        assert (await handle.status()).completion is None
        await handle.cancel()


async def test_pruning_takes_deadlines_along(dsn: str) -> None:
    async with running(dsn, queues={}) as run:
        flow = waiting(deadline=3_600)
        await run.insert(flow)
        await run.engine.workflow(flow.workflow_id).cancel()
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        plugin = Plugin(prune=True)
        for _ in range(3):
            await plugin.sweep(run.engine.database)
        assert await run.tables.value("SELECT count(*) FROM baton.workflows") == 0
        assert await run.tables.value(COUNT) == 0


async def test_a_callers_transaction_carries_it(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await waiting(deadline=60).insert(conn=connection)
            assert await connection.fetchval(COUNT) == 1
        left = "SELECT deadline - inserted_at FROM baton.workflow_deadlines JOIN baton.workflows"
        assert await connection.fetchval(f"{left} ON id = workflow_id") == timedelta(seconds=60)
    finally:
        await connection.close()


@pytest.mark.parametrize("deadline", [0, -1, timedelta(0), "tomorrow", True, datetime(2030, 1, 1)])  # noqa: DTZ001
def test_what_is_no_deadline(deadline: Any) -> None:
    with pytest.raises(InvalidOptionError, match="deadline"):
        Baton(deadline=deadline)


async def test_each_is_dealt_with_once(dsn: str) -> None:
    """Two processes look at once."""
    flows = [waiting(deadline=3_600) for _ in range(20)]
    async with running(dsn, queues={}) as run:
        await insert_all(flows, engine=run.engine)
        await run.tables.execute(PASSED)
        other = Database(dsn)
        await other.open()
        try:
            async with asyncio.timeout(DEADLINE):
                while await run.tables.value(COUNT):
                    await asyncio.gather(
                        *(Plugin().sweep(database) for database in (run.engine.database, other))
                    )
        finally:
            await other.close()
        for flow in flows:
            assert (await run.end(flow)).outcome == "cancelled"
        assert len((await run.engine.insights.actions()).rows) == 20
