"""The background loops of an engine, written once: started, kept alive, stopped."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from baton.engine import telemetry
from baton.words.events import ConnectionLost, ConnectionRegained

_log = logging.getLogger("baton")

FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0

Work = Callable[[], Awaitable[None]]


class Loops:
    """Tasks that live as long as the engine. A unit of work that fails is logged and tried again,
    later and later.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, interval: float, what: str, work: Work) -> None:
        """Do `work` now and every `interval` seconds, a little apart from other engines that do the
        same.
        """
        self._start(what, work, interval)

    def forever(self, what: str, work: Work) -> None:
        """Keep `work` running: it returns or raises only when it has to be started anew."""
        self._start(what, work, 0.0)

    def _start(self, what: str, work: Work, interval: float) -> None:
        task = asyncio.get_running_loop().create_task(
            self._run(what, work, interval), name=f"baton:{self._engine}:{what}"
        )
        self._tasks.append(task)

    async def _run(self, what: str, work: Work, interval: float) -> None:
        delay = 0.0
        while True:
            try:
                await work()
            except Exception as error:
                delay = min(max(delay * 2, FIRST_DELAY), LONGEST_DELAY)
                self._lost(what, error, first=delay == FIRST_DELAY)
            else:
                if delay:
                    delay = 0.0
                    self._regained(what)
            await asyncio.sleep(_jitter(max(delay, interval)))

    def _lost(self, what: str, error: Exception, *, first: bool) -> None:
        if first:
            _log.warning("engine %s: %s failed, trying again: %r", self._engine, what, error)
            if telemetry.active:
                telemetry.emit(ConnectionLost(self._engine, what, repr(error)))

    def _regained(self, what: str) -> None:
        _log.info("engine %s: %s works again", self._engine, what)
        if telemetry.active:
            telemetry.emit(ConnectionRegained(self._engine, what))

    async def stop(self) -> None:
        """Cancel all loops and wait for their end."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _jitter(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)
