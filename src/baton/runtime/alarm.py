"""A timer that sleeps until its work is due again, or until it is rung."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

SHORTEST = 0.05
"""Seconds from one look to the next, however often it is rung: what is due and cannot be done now
is tried again so soon, and a thousand bells cost twenty looks.
"""


class Alarm:
    """Calls `work`, which tells in how many seconds it is due again (None: nothing is), and sleeps
    until then, at most `longest` seconds. Bells only shorten the sleep.
    """

    def __init__(self, work: Callable[[], Awaitable[float | None]], longest: float) -> None:
        self._work = work
        self._longest = longest
        self._rung = asyncio.Event()

    def ring(self, payload: str | None = None) -> None:
        """Something may be due earlier than was known."""
        self._rung.set()

    async def run(self, works: Callable[[], None]) -> None:
        """Until cancelled, or until `work` raises: whoever keeps this running starts it anew."""
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            self._rung.clear()
            due = await self._work()
            works()
            await self._until_rung(self._longest if due is None else min(due, self._longest))
            await asyncio.sleep(begun + SHORTEST - clock())

    async def _until_rung(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return
