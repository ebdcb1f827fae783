"""Threads for synchronous steps, a bounded number of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from threading import Lock
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class Threads:
    """At most `limit` threads at once. One whose step timed out, or was interrupted, counts until
    it really ends.
    """

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._limiter = anyio.CapacityLimiter(float("inf"))

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` in a thread as soon as one is free. A cancelled caller leaves it running
        there.
        """
        loop = asyncio.get_running_loop()
        await self._slots.acquire()
        # Whoever comes first decides whether the function is called or the slot given back.
        begins = Lock()

        def call() -> T:
            if not begins.acquire(blocking=False):
                raise CancelledError
            try:
                return function()
            finally:
                # A loop that is closed waits for no slot.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._slots.release)

        try:
            return await anyio.to_thread.run_sync(
                call, abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            if begins.acquire(blocking=False):
                self._slots.release()
