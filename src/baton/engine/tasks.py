"""Tasks that begin at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any


def begin(work: Coroutine[Any, Any, None], context: Context | None = None) -> asyncio.Task[None]:
    """A task that runs until its first real wait before this returns, where Python can (from 3.12).

    Each turn of the loop that a task waits for its beginning is a turn that every link of a chain
    of steps waits for.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)
    return loop.create_task(work, context=context)
