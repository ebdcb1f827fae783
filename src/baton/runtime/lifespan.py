"""What an application sets up before an engine starts and takes down after it has stopped.

It runs in a task of its own, so that the context manager is entered and left in one task whoever
starts and stops the engine; a task group inside it can therefore hold background tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

_log = logging.getLogger("baton")

Made = Callable[[], AbstractAsyncContextManager[object]]


class Lifespan:
    """One context manager, entered by `start` and left by `stop`. Calls `failed` when it raises in
    between; `error` is what it raised, then or when it was left.
    """

    def __init__(self, made: Made, failed: Callable[[], None], stop_timeout: float) -> None:
        self._made = made
        self._failed = failed
        self._stop_timeout = stop_timeout
        self._asked = asyncio.Event()
        self._entered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    async def start(self) -> None:
        """Enter the context manager; raises what it raises."""
        self._task = asyncio.get_running_loop().create_task(self._live(), name="baton:lifespan")
        entered = asyncio.ensure_future(self._entered.wait())
        try:
            await asyncio.wait([self._task, entered], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._task.cancel()
            raise
        finally:
            entered.cancel()
        if self._task.done():
            task, self._task = self._task, None
            task.result()
            raise RuntimeError("the lifespan ended before it was asked to")

    async def stop(self) -> None:
        """Leave the context manager, in at most `stop_timeout` seconds."""
        task, self._task = self._task, None
        if task is None:
            return
        self._asked.set()
        _, pending = await asyncio.wait([task], timeout=self._stop_timeout)
        if pending:
            _log.warning(
                "the lifespan did not end within %g s; it is cancelled", self._stop_timeout
            )
            task.cancel()
        elif not task.cancelled():
            self.error = task.exception()

    async def _live(self) -> None:
        try:
            async with self._made():
                self._entered.set()
                await self._asked.wait()
        except Exception:
            if self._entered.is_set() and not self._asked.is_set():
                _log.exception("the lifespan failed; the engine stops")
                self._failed()
            raise
