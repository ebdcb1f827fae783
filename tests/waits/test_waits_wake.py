"""Who sends an event wakes the engines beside it, before any notification or poll."""

from __future__ import annotations

from baton import Baton, Step, WaitEvents, send_event, worker
from support.running import fast, running
from support.waits import until_waits


@worker
async def waits(step: Step) -> object:
    found = await step.wait_any("x")
    return found.events["x"] if isinstance(found, WaitEvents) else None


@worker
async def after(step: Step) -> object:
    return (await step.result("gate"))["events"]["y"]


async def test_an_event_wakes_the_engines_of_this_process(dsn: str) -> None:
    """There are no notifications, and the next poll is minutes away; a client sends."""
    workflow = (
        Baton()
        .add("step", waits.new())
        .wait("gate", any_of=["y"])
        .add("after", after.new(), deps=["gate"])
    )
    async with running(dsn, notify=False) as run, fast(dsn, name="client", queues={}) as client:
        await run.insert(workflow)
        run.engine.wake("default")
        run.engine.wake("a queue that is not served")
        await until_waits(run.tables, workflow, 2)
        await send_event(workflow.workflow_id, "x", 1, engine=client)
        await run.tables.until(workflow, "step", "completed")
        await send_event(workflow.workflow_id, "y", 2, engine=client)
        await run.tables.until(workflow, "after", "completed")
        assert await run.engine.workflow(workflow.workflow_id).result("step") == 1
        assert await run.engine.workflow(workflow.workflow_id).result("after") == 2
