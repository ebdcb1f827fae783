"""Waits of steps that were moved by hand, of an engine that stops, without notifications."""

from __future__ import annotations

from baton import send_event
from baton.words.events import StepCompleted, StepSuspended
from support.running import running
from support.waiting_steps import forms, one, only, several
from support.waits import until_waits


async def test_a_step_that_is_retried_by_hand_adopts_its_wait(dsn: str) -> None:
    """With the deadline it had; and its event wakes it once."""
    async with running(dsn) as run:
        workflow = await only(run, forms.new(form="for", options={"timeout": 3600}))
        await until_waits(run.tables, workflow)
        look = "SELECT (id, armed_at, deadline)::text FROM baton.workflow_wait_groups"
        before = await run.tables.value(look)
        await run.tables.change(workflow, "s", state="'available'")
        await run.tables.execute("NOTIFY \"baton.oban_insert\", '{}'")
        await run.events.until(StepSuspended, 2)
        assert await run.tables.value(look) == before
        assert await run.tables.violations() == []
        await send_event(workflow.workflow_id, "x")
        await run.end(workflow)
        assert len(await run.events.until(StepCompleted, 1)) == 1


async def test_a_wait_that_settled_while_its_step_was_moved_by_hand(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, one.new())
        await until_waits(run.tables, workflow)
        await run.tables.change(workflow, "s", state="'available'", scheduled_at="'2099-01-01'")
        await send_event(workflow.workflow_id, "x", 7)
        await run.tables.change(workflow, "s", scheduled_at="timezone('UTC', now())")
        await run.tables.execute("NOTIFY \"baton.oban_insert\", '{}'")
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == 7


async def test_waits_survive_a_stop_of_the_engine(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, several.new())
        await send_event(workflow.workflow_id, "x", 1)
        await run.events.until(StepSuspended, 2)
        workflow_id = workflow.workflow_id
    async with running(dsn) as run:
        for name in "xy":
            await send_event(workflow_id, name, 2)
        await run.end(workflow)
        assert await run.engine.workflow(workflow_id).result("s") == [1, 2, 2, 1]


async def test_a_timer_without_notifications(dsn: str) -> None:
    async with running(dsn, notify=False, poll_interval=0.05) as run:
        workflow = await only(run, several.new())
        for name in "xxy":
            await send_event(workflow.workflow_id, name, 2)
        await run.end(workflow)
