"""Hypothesis over an engine that runs: one loop for all examples, a sentinel after each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from baton import Baton, BatonError, Step, worker
from support.running import Run, running

T = TypeVar("T")

EXAMPLES = int(os.environ.get("BATON_FUZZ_EXAMPLES", "0"))
"""How many examples of each test; 0: few, and always the same."""

ROWS = """
SELECT
    (SELECT count(*) FROM baton.oban_jobs) + (SELECT count(*) FROM baton.workflows)
    + (SELECT count(*) FROM baton.workflow_nodes) + (SELECT count(*) FROM baton.workflow_events)
    + (SELECT count(*) FROM baton.workflow_wait_groups)
    + (SELECT count(*) FROM baton.workflow_debug_logs)
    + (SELECT count(*) FROM baton.workflow_memos)
    + (SELECT count(*) FROM baton.workflow_step_stats)
"""


def fuzzed(few: int) -> settings:
    """The short profile of `make test`, or BATON_FUZZ_EXAMPLES examples by chance."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@worker(name="fuzzing.sentinel")
async def sentinel(step: Step) -> str:
    return "still here"


class Fuzz:
    """An engine with one slot, in a loop of its own."""

    def __init__(self, runner: asyncio.Runner, run: Run) -> None:
        self._runner = runner
        self.on = run

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def rows(self) -> int:
        return int(await self.on.tables.value(ROWS))

    async def refused(self, work: Coroutine[Any, Any, object]) -> BatonError:
        """It raises one of ours, and leaves no row."""
        before = await self.rows()
        with pytest.raises(BatonError) as caught:
            await work
        assert await self.rows() == before
        # Whatever it was given, what it says can be logged.
        str(caught.value).encode("utf-8", "backslashreplace")
        return caught.value

    async def survived(self) -> None:
        """Nothing is stuck: a job in the only slot runs."""
        workflow = Baton().add("sentinel", sentinel.new())
        await self.on.completed(workflow)
        # The recorder would grow, and with it each look through it.
        self.on.events.all.clear()


@contextmanager
def fuzz(dsn: str) -> Iterator[Fuzz]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        run = runner.run(stack.enter_async_context(running(dsn, queues={"default": 1}, debug=True)))
        try:
            yield Fuzz(runner, run)
        finally:
            runner.run(stack.aclose())
