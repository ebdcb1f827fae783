"""Tasks that begin at once, and tasks that come to their end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


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
    """Do `work`, which bounds itself, to its end, also when the caller is cancelled meanwhile, by
    anyio or by the task's own `cancel`: the cancellation is raised when the work has ended.

    A commit that is cut off is unknown: nobody would tell what it did.
    """
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled() and task.exception() is not None:
        raise cancelled from task.exception()
    raise cancelled
