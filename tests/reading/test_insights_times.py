"""Times that PostgreSQL holds and Python does not spoil no answer and no rescue."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from baton import Baton, Step, worker
from baton.insights import Insights, Reason
from baton.store.jobs import find_orphans
from baton.store.store import store_of
from support.running import Run, running
from support.waits import until_waits

FAR = ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC", "294276-12-31 23:59:59.999999"]
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@worker(name="times.noop", queue="elsewhere")
async def noop(step: Step) -> None: ...


async def park(run: Run, workflow: Baton, name: str, **columns: str) -> None:
    await run.tables.change(workflow, name, **columns)


def end_of(far: str) -> datetime:
    return FIRST if far.startswith("-") or far.endswith("BC") else LAST


@pytest.mark.parametrize("far", FAR)
async def test_far_times_are_the_first_and_the_last_that_python_has(dsn: str, far: str) -> None:
    workflow = Baton()
    for name in ("scheduled", "available", "executing", "completed", "retryable", "sane", "null"):
        workflow.add(name, noop.new())
    at = f"'{far}'::timestamp"
    async with running(dsn) as run:
        await run.insert(workflow)
        await park(run, workflow, "scheduled", state="'scheduled'", scheduled_at=at)
        await park(run, workflow, "retryable", state="'retryable'", scheduled_at=at)
        await park(run, workflow, "available", scheduled_at=at)
        await park(run, workflow, "executing", state="'executing'", attempted_at=at)
        await park(run, workflow, "completed", state="'completed'", completed_at=at)
        look = Insights(run.engine.database)
        rows = {row.name: row for row in await look.steps(workflow.workflow_id)}
        assert len(rows) == len(workflow.step_names)
        for name in ("scheduled", "available", "retryable"):
            assert rows[name].scheduled_at == end_of(far)
        assert rows["executing"].attempted_at == end_of(far)
        assert rows["completed"].finished_at == end_of(far)
        assert rows["null"].attempted_at is None
        assert rows["null"].finished_at is None
        for name in workflow.step_names:
            why = await look.why(workflow.workflow_id, name)
            assert why.sentence
            for moment in (why.since, why.until):
                assert moment is None or moment.utcoffset() == timedelta(0)
        parked = await look.why(workflow.workflow_id, "scheduled")
        if end_of(far) == LAST:
            assert (parked.reason, parked.until) == (Reason.SCHEDULED, LAST)
        (queue,) = (row for row in await look.queues() if row.queue == "elsewhere")
        # What is due is made available.
        assert queue.available + queue.scheduled + queue.retryable == 5
        assert queue.executing == 1
        # The jobs whose times have no age hide none that has one.
        assert queue.available_for is not None
        assert 0 <= queue.available_for < 600
        assert queue.executing_for is None
        await run.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize("far", FAR)
async def test_a_far_claim_keeps_no_other_from_rescue(dsn: str, far: str) -> None:
    workflow = Baton().add("far", noop.new()).add("lost", noop.new())
    async with running(dsn) as run:
        await run.insert(workflow)
        foreign: Any = {"state": "'executing'", "attempted_by": "'{host,other}'"}
        await park(run, workflow, "far", **foreign, attempted_at=f"'{far}'::timestamp")
        lost = await run.tables.change(
            workflow, "lost", **foreign, attempted_at="timezone('UTC', now()) - interval '1 hour'"
        )
        found = await find_orphans(
            store_of(run.engine),
            rescue_after=60.0,
            engine=uuid4(),
            known=[],
            lost_after=60.0,
            foreign_after=60.0,
            after=0,
            limit=10,
        )
        assert [orphan.id for orphan in found] == [lost]
        assert math.isfinite(found[0].duration)
        await run.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize("far", FAR)
async def test_a_wait_with_a_far_deadline_is_listed(dsn: str, far: str) -> None:
    workflow = Baton().wait("review", any_of=["decision"], timeout=3600)
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow, 1)
        await run.tables.execute(
            f"UPDATE baton.workflow_wait_groups SET deadline = '{far}', armed_at = '{far}',"
            " wake_at = NULL"
        )
        for given in (None, workflow.workflow_id):
            (waiting,) = await run.engine.insights.waiting_steps(given)
            assert (waiting.deadline, waiting.since) == (end_of(far), end_of(far))
        why = await Insights(run.engine.database).why(workflow.workflow_id, "review")
        assert why.until == end_of(far)
        await run.engine.workflow(workflow.workflow_id).cancel()
