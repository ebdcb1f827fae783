"""Each run of a workflow ends once, and who waits for a run gets the end of that run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from baton import Baton, Step, worker
from baton.completion import announce
from baton.errors import CompletionTimeoutError, InvalidOptionError, UnknownRunError
from support.running import running

AGAIN = "UPDATE baton.workflows SET run = run + 1, outstanding = 1, finished_at = NULL"
OVER = "UPDATE baton.workflows SET outstanding = 0, finished_at = clock_timestamp()"


@worker
async def works(step: Step) -> None:
    return None


async def test_each_run_has_a_completion_of_its_own(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", works.new())
        assert (await run.workflow(flow)).run == 1
        handle = flow.handle()
        await run.tables.execute(AGAIN)
        assert (await handle.completion(run=1)).run == 1
        with pytest.raises(CompletionTimeoutError):
            await handle.completion(timeout=0)
        waiting = asyncio.create_task(handle.completion())
        await run.tables.execute(OVER)
        await announce(flow.workflow_id)
        assert await announce(flow.workflow_id) is None
        assert (await waiting).run == 2
        assert [(await handle.completion(run=n)).run for n in (1, 2)] == [1, 2]
        assert (await handle.completion()).run == 2
        assert (await handle.status()).completion == await handle.completion()


async def test_a_run_that_has_not_begun_is_not_waited_for(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", works.new())
        await run.workflow(flow)
        with pytest.raises(UnknownRunError, match=r"no run 2: its latest run is 1") as caught:
            await flow.handle().completion(run=2)
        assert (caught.value.run, caught.value.latest) == (2, 1)


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "1", 2**31])
async def test_a_run_is_a_whole_number(dsn: str, given: Any) -> None:
    async with running(dsn) as run:
        with pytest.raises(InvalidOptionError):
            await run.engine.workflow(Baton().workflow_id).completion(run=given)
