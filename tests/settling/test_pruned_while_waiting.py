"""A workflow that ends and is pruned before those who wait for it look again."""

from __future__ import annotations

import asyncio

import pytest

from baton import Baton, Engine, Plugin, Step, worker
from baton.errors import UnknownWorkflowError
from support.running import fast, running
from support.waiting import DEADLINE, eventually


@worker(name="pruned.works")
async def works(step: Step) -> int:
    return 1


async def looked(engine: Engine) -> bool:
    waiters = engine._parts.waiters
    return bool(waiters._waiters) and not waiters._unchecked


async def test_the_wait_ends(dsn: str) -> None:
    workflow, other = (Baton().add("a", works.new(), queue=queue) for queue in ("default", "idle"))
    plugin = Plugin(prune=True, job_max_age={"completed": 0})
    # One that hears of no end and looks only when it is told to.
    async with (
        fast(dsn, queues={}, notify=False, name="waits") as waits,
        running(dsn, queues={"default": 1}) as run,
    ):
        run.engine.queue("default").pause()
        for inserted in (workflow, other):
            await run.insert(inserted)
        waiting, kept = (
            asyncio.create_task(waits.workflow(inserted.workflow_id).completion())
            for inserted in (workflow, other)
        )
        await eventually(lambda: looked(waits))
        run.engine.queue("default").resume()
        await run.end(workflow)
        for _ in range(2):
            await plugin.sweep(run.engine.database)
        assert await run.tables.value("SELECT count(*) FROM baton.workflows") == 1
        await waits._parts.waiters.poll()
        with pytest.raises(UnknownWorkflowError, match="any more") as caught:
            await asyncio.wait_for(waiting, DEADLINE)
        assert (caught.value.workflow_id, caught.value.pruned) == (workflow.workflow_id, True)
        # The other goes on waiting.
        assert not kept.done()
        await run.engine.workflow(other.workflow_id).cancel()
        await waits._parts.waiters.poll()
        assert (await asyncio.wait_for(kept, DEADLINE)).outcome == "cancelled"


async def test_one_that_never_was_is_not_called_pruned(dsn: str) -> None:
    async with fast(dsn, queues={}) as engine:
        with pytest.raises(UnknownWorkflowError) as caught:
            await engine.workflow(Baton().workflow_id).completion()
        assert not caught.value.pruned
