"""The background loops of an engine, written once: started, kept alive, stopped."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic

from baton.runtime.tasks import END_TIMEOUT, cancel_all, is_cancelled
from baton.telemetry import seam
from baton.telemetry.seldom import Seldom
from baton.words.events import ConnectionLost, ConnectionRegained

_log = logging.getLogger("baton")

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

BLOCKED = 1.0
"""Seconds by which a loop has to wake too late for the event loop to be called blocked."""
LOG_INTERVAL = 60.0

Work = Callable[[], Awaitable[None]]


class Loops:
    """Tasks that live as long as the engine. A unit of work that fails is logged and tried again,
    later and later.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._warnings = Seldom(LOG_INTERVAL)
        self._tasks: list[asyncio.Task[None]] = []
        self._sentry: asyncio.Task[None] | None = None
        self._delays: dict[str, float] = {}

    def every(self, interval: float, what: str, work: Work) -> None:
        """Do `work` now and every `interval` seconds, a little apart from other engines that do the
        same.
        """
        self._start(what, work, interval)

    def forever(self, what: str, work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Keep `work` running: it raises when it has to be started anew, and calls what it is given
        once it has begun to work.
        """
        self._start(what, partial(work, partial(self._works, what)), 0.0)

    def _start(self, what: str, work: Work, interval: float) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(
            self._run(what, work, interval), name=f"baton:{self._engine}:{what}"
        )
        self._tasks.append(task)
        if self._sentry is None:
            self._sentry = loop.create_task(_wait_for_ever(), name=f"baton:{self._engine}:sentry")

    async def _run(self, what: str, work: Work, interval: float) -> None:
        while True:
            try:
                await work()
            except (Exception, asyncio.CancelledError) as error:
                # However it arrives: the driver turns some cancellations into other errors.
                if is_cancelled():
                    raise asyncio.CancelledError from error
                self._fails(what, error)
            else:
                if is_cancelled():
                    raise asyncio.CancelledError
                self._works(what)
            await self._sleep(_jitter(max(self._delays.get(what, 0.0), interval)))

    async def _sleep(self, seconds: float) -> None:
        due = monotonic() + seconds
        await asyncio.sleep(seconds)
        late = monotonic() - due
        if late > BLOCKED and self._warnings.take():
            _log.warning(
                "engine %s: the event loop was blocked for %.1f s or more, and with it every async"
                " step: something in it computes or waits without await. A step whose perform is"
                " a plain def runs in a thread, one with executor=ProcessExecutor(…) in a process;"
                " PYTHONASYNCIODEBUG=1 names what blocks",
                self._engine,
                late,
            )

    def _fails(self, what: str, error: BaseException) -> None:
        if what not in self._delays:
            _log.warning("engine %s: %s failed, trying again: %r", self._engine, what, error)
            if seam.active:
                seam.emit(ConnectionLost(self._engine, what, repr(error)))
        delay = 2 * self._delays.get(what, FIRST_DELAY / 2)
        self._delays[what] = min(delay, LONGEST_DELAY)

    def _works(self, what: str) -> None:
        if self._delays.pop(what, None) is not None:
            _log.info("engine %s: %s works again", self._engine, what)
            if seam.active:
                seam.emit(ConnectionRegained(self._engine, what))

    def are_cancelled(self) -> bool:
        """Whether somebody else than `stop` cancels the loops: the program ends.

        It is seen at a task that has nothing to do. A loop at work is cancelled by its own
        time-outs too, for a turn or two, and what is performed meanwhile must not be taken for
        interrupted: it would be performed again.
        """
        sentry = self._sentry
        return sentry is not None and (sentry.done() or sentry.cancelling() > 0)

    async def stop(self, timeout: float = END_TIMEOUT) -> None:
        """Cancel all loops and wait for their ends, at most `timeout` seconds."""
        tasks, self._tasks = self._tasks, []
        if self._sentry is not None:
            tasks.append(self._sentry)
            self._sentry = None
        late = await cancel_all(tasks, timeout)
        if late:
            _log.warning("engine %s: %d of its loops do not end", self._engine, late)


async def _wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def _jitter(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)
