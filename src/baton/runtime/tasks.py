"""Tasks that begin at once, and tasks that come to their end."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Coroutine, Iterable
from contextvars import Context
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

END_TIMEOUT = 2.0
"""Seconds for one phase of an end."""

CANCEL_AGAIN = 1.0
"""Seconds after which a cancellation is taken for swallowed."""

CUT_OFF = 4.0


class Deadline:
    """The end of a number of phases that share `seconds`: what one leaves, the next may use."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._end = self._clock() + seconds

    def left(self, most: float) -> float:
        """Seconds for the next phase; a moment even after the end, so that it is tried."""
        return max(min(most, self._end - self._clock()), 0.2)


def begin(work: Coroutine[Any, Any, None], context: Context | None = None) -> asyncio.Task[None]:
    """A task that runs until its first real wait before this returns, where Python can (from 3.12).

    Each turn of the loop that a task waits for its beginning is a turn that every link of a chain
    of steps waits for.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)
    return loop.create_task(work, context=context)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do `work` to its end, also when the caller is cancelled meanwhile, by anyio or by the task's
    own `cancel`: the cancellation is raised when the work has ended.

    A commit that is cut off is unknown: nobody would tell what it did. A database that is silent
    for CUT_OFF seconds after the cancellation leaves it unknown anyway, so then the work is
    cancelled too.
    """
    task, cancelled = await _ended(work)
    if cancelled is None:
        return task.result()
    if not task.cancelled() and task.exception() is not None:
        raise cancelled from task.exception()
    raise cancelled


async def done_whatever(work: Coroutine[Any, Any, T]) -> T:
    """As `to_the_end`, for work whose end tells more than the cancellation, which is raised only
    when the work was cut off.
    """
    task, cancelled = await _ended(work)
    if cancelled is not None and task.cancelled():
        raise cancelled
    return task.result()


async def _ended(
    work: Coroutine[Any, Any, T],
) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    cut_off: asyncio.TimerHandle | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
                if cut_off is None:
                    cut_off = loop.call_later(CUT_OFF, task.cancel)
    if cut_off is not None:
        cut_off.cancel()
    return task, cancelled


async def cancel_all(tasks: Iterable[asyncio.Task[Any]], timeout: float) -> int:
    """Cancel tasks and wait for their ends, at most `timeout` seconds; returns how many go on.

    Who swallowed a cancellation, or sits in a second wait on the way out, is cancelled again.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + timeout
    pending = set(tasks)
    while pending and (left := end - clock()) > 0:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=min(left, CANCEL_AGAIN))
        for task in done:
            # Seen, so that the loop does not report it.
            _ = task.cancelled() or task.exception()
    return len(pending)


def is_cancelled() -> bool:
    """Whether the current task was cancelled, also where the driver has turned that into another
    error.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_from_signal(error: BaseException) -> bool:
    """Whether `asyncio.run` raised this KeyboardInterrupt, as it does at the second Ctrl-C in
    whatever code then runs; another one is that code's own.
    """
    if type(error) is not KeyboardInterrupt or error.__traceback__ is None:
        return False
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    return last.f_code.co_filename == asyncio.Runner.run.__code__.co_filename
