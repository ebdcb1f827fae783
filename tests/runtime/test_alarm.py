"""The timer of waits: it sleeps until the next is due, and bells wake it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from baton.runtime.alarm import SHORTEST, Alarm
from support.waiting import DEADLINE

Due = Callable[[int], float | None]


class Look:
    """Counts the looks; `due` tells how long each may sleep."""

    def __init__(self, due: Due) -> None:
        self.times: list[float] = []
        self._due = due
        self._changed = asyncio.Event()

    async def __call__(self) -> float | None:
        self.times.append(asyncio.get_running_loop().time())
        self._changed.set()
        return self._due(len(self.times))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.times) < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(due: Due, longest: float = 3600.0) -> AsyncIterator[tuple[Look, Alarm]]:
    look = Look(due)
    alarm = Alarm(look, longest)
    task = asyncio.create_task(alarm.run(lambda: None))
    try:
        await look.until(1)
        yield look, alarm
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_looks_again_when_the_next_is_due() -> None:
    async with running(lambda count: 0.1 if count == 1 else None) as (look, _):
        await look.until(2)
        assert look.times[1] - look.times[0] >= 0.1


async def test_what_is_overdue_does_not_make_it_spin() -> None:
    async with running(lambda count: -1.0) as (look, _):
        await look.until(4)
        assert look.times[3] - look.times[0] >= 3 * SHORTEST * 0.9


async def test_it_looks_at_last_though_nothing_is_due() -> None:
    async with running(lambda count: None, longest=0.1) as (look, _):
        await look.until(2)


async def test_a_bell_wakes_it() -> None:
    async with running(lambda count: None) as (look, alarm):
        alarm.ring("a payload")
        await look.until(2)


async def test_many_bells_cost_few_looks() -> None:
    async with running(lambda count: None) as (look, alarm):
        while look.times[-1] - look.times[0] < 4 * SHORTEST:
            alarm.ring()
            await asyncio.sleep(0)
        assert len(look.times) <= 6
