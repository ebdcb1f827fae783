"""Calls of plain functions, in threads or in executors, from the moment they begin.

What waits for a free thread or process does not work yet: its time-out does not run, and it goes
back untouched when it has waited for long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from baton.performing.threads import Threads
from baton.runtime.executor import NotBegunError
from baton.telemetry import seam
from baton.telemetry.seldom import Seldom

_log = logging.getLogger("baton")

PATIENCE = 30.0
"""Seconds that a step waits for a free thread or process before it goes back."""

HOPELESS_PATIENCE = 1.0
"""The same where every thread is held by a step that was given up."""

LOG_INTERVAL = 5.0


class Calls:
    """Begins calls in the engine's threads, of which there are `limit`, and in workers' own
    executors.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads = Threads(limit)
        self._places: WeakKeyDictionary[Executor, _Places] = WeakKeyDictionary()
        self._warnings = Seldom(LOG_INTERVAL)

    async def begin(
        self, executor: Executor | None, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """The call's future, once it has begun. A cancelled future leaves a call in a thread
        running, and its place taken.

        Raises NotBegunError when there was no place for it for long, and what the executor raises.
        """
        pool = self._threads if executor is None else executor
        places = self._places.get(pool)
        if places is None:
            places = self._places[pool] = _Places(pool, self._limit)
        call: Callable[[], Any] = partial(function, *args)
        # In a copy of the step's own context: its variables, its span. Only the span can travel.
        call = partial(copy_context().run, call) if places.in_process else seam.carried(call)
        try:
            if isinstance(pool, ThreadPoolExecutor):
                begun = await _begin_among_others(pool, places, call)
            else:
                begun = await _begin_in_place(pool, places, call)
        except _NoPlaceError as error:
            raise NotBegunError(
                f"no {places.what} was free for {error.seconds:g} s{places}"
            ) from None
        future = asyncio.wrap_future(begun)
        future.add_done_callback(partial(self._left, places, begun))
        return future

    def close(self) -> None:
        """End the threads that are free; those of hung steps end with the process."""
        self._threads.shutdown()

    def _left(self, places: _Places, begun: Future[Any], future: asyncio.Future[Any]) -> None:
        # A ProcessExecutor kills what was cancelled.
        if not future.cancelled() or begun.done() or getattr(begun, "killed", False):
            return
        places.give_up(begun)
        if self._warnings.take():
            _log.warning("a step was given up and still runs%s", places)


class _Places:
    """The threads or processes of one executor."""

    def __init__(self, pool: Executor, limit: int) -> None:
        self.in_process = isinstance(pool, Threads | ThreadPoolExecutor)
        self.what = "thread" if self.in_process else "process"
        # The executors of the standard library have this, and those made after them.
        known: object = limit if isinstance(pool, Threads) else getattr(pool, "_max_workers", None)
        self._limit = known if isinstance(known, int) and known > 0 else None
        self._given_up: set[Future[Any]] = set()
        self.free = None if self._limit is None else asyncio.Semaphore(self._limit)

    def __str__(self) -> str:
        held = len(self._given_up)
        if not held:
            return ""
        these = f"{self.what}s" if held != 1 or self._limit != 1 else self.what
        counted = f"{held} {these}" if self._limit is None else f"{held} of {self._limit} {these}"
        return f": {counted} held by steps that timed out or were interrupted and have not returned"

    @property
    def all_given_up(self) -> bool:
        return self._limit is not None and len(self._given_up) >= self._limit

    def give_up(self, call: Future[Any]) -> None:
        """Nobody waits for this call, which holds its place until it ends."""
        self._given_up.add(call)
        call.add_done_callback(self._given_up.discard)


async def _begin_in_place(pool: Executor, places: _Places, call: Callable[[], Any]) -> Future[Any]:
    """Begin a call in a pool of which all places are known to be filled from here."""
    free = places.free
    if free is None:
        return pool.submit(call)
    if free.locked():
        await _acquire(free, places)
    else:
        await free.acquire()
    try:
        submitted = pool.submit(call)
    except BaseException:
        free.release()
        raise
    submitted.add_done_callback(partial(_release, asyncio.get_running_loop(), free))
    return submitted


async def _acquire(free: asyncio.Semaphore, places: _Places) -> None:
    acquiring = asyncio.ensure_future(free.acquire())
    acquired = False
    try:
        await _patiently(acquiring, places)
        acquired = True
    finally:
        if not acquired and not acquiring.cancel() and not acquiring.cancelled():
            free.release()


async def _begin_among_others(
    pool: ThreadPoolExecutor, places: _Places, call: Callable[[], Any]
) -> Future[Any]:
    """Begin a call in threads that the application may use too: the thread tells when it does."""
    loop = asyncio.get_running_loop()
    begins = loop.create_future()

    def told() -> Any:
        # A loop that is closed has no one left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, begins)
        return call()

    submitted = pool.submit(told)
    try:
        await _patiently(begins, places)
    except _NoPlaceError:
        # What cannot be cancelled has begun.
        if submitted.cancel():
            raise
    except asyncio.CancelledError:
        submitted.cancel()
        raise
    return submitted


async def _patiently(event: asyncio.Future[Any], places: _Places) -> None:
    """Wait for a place. Raises _NoPlaceError."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    while not event.done():
        patience = HOPELESS_PATIENCE if places.all_given_up else PATIENCE
        left = begun + patience - clock()
        if left <= 0:
            raise _NoPlaceError(patience)
        # Others may be given up meanwhile.
        await asyncio.wait([event], timeout=min(left, HOPELESS_PATIENCE))


class _NoPlaceError(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _release(
    loop: asyncio.AbstractEventLoop, place: asyncio.Semaphore, submitted: Future[Any]
) -> None:
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(place.release)


def _resolve(begins: asyncio.Future[None]) -> None:
    if not begins.done():
        begins.set_result(None)
