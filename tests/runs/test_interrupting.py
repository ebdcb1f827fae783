"""What a verb takes from an engine is one attempt, not the job that it is of."""

from __future__ import annotations

import asyncio

import asyncpg

from baton import Baton, Step, worker
from baton.words.events import StepCompleted, StepExecuting, StepFenced, StepReleased
from support.running import fast, running

doors: list[asyncio.Event] = []


@worker(name="interrupting.waits")
async def waits(step: Step) -> int:
    await doors[0].wait()
    return step.attempt


@worker(name="interrupting.works")
async def works(step: Step) -> None:
    """Shows that the engine has heard what was told before."""


async def test_a_late_notice_does_not_interrupt_the_next_attempt(dsn: str) -> None:
    """A retry elsewhere interrupts the attempt; when its notice comes once more, the step has been
    claimed again.
    """
    doors[:] = [asyncio.Event()]
    notices: list[str] = []
    listener = await asyncpg.connect(dsn)
    await listener.add_listener(
        "baton.baton_cancel", lambda _, __, ___, payload: notices.append(str(payload))
    )
    async with running(dsn) as run, fast(dsn, queues={}, name="elsewhere") as elsewhere:
        flow = Baton().add("a", waits.new())
        await run.insert(flow)
        await run.events.until(StepExecuting, step="a")
        await elsewhere.workflow(flow.workflow_id).retry(steps=["a"], interrupt=True)
        await run.events.until(StepFenced, step="a")
        await run.events.until(StepExecuting, 2, step="a")
        (notice,) = notices
        await run.tables.execute("SELECT pg_notify('baton.baton_cancel', $1)", notice)
        await run.completed(Baton().add("b", works.new()))
        doors[0].set()
        await run.events.until(StepCompleted, step="a")
        assert await flow.handle().result("a") == 2
        assert run.events.of(StepReleased, step="a") == []
    await listener.close()
