"""What steps of a module wait at until its test lets them go on."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary


class Gate:
    """An event of each event loop, and so of each test: it is closed when the test begins."""

    def __init__(self) -> None:
        self._events: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Event] = (
            WeakKeyDictionary()
        )

    def _event(self) -> asyncio.Event:
        return self._events.setdefault(asyncio.get_running_loop(), asyncio.Event())

    async def wait(self) -> None:
        await self._event().wait()

    def set(self) -> None:
        self._event().set()
