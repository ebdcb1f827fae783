"""Threads for synchronous steps, a bounded number of them.

They are daemons: a step that hangs in one of them must not hold up the end of the program, which
Python would otherwise delay until the last thread has returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from baton.performing.crew import Crew

try:
    from anyio._core._eventloop import claim_worker_thread, get_async_backend, threadlocals
except ImportError:
    # No part of anyio's contract: without it `anyio.from_thread.run` has to be given a token.
    claim_worker_thread = None  # type: ignore[assignment]

P = ParamSpec("P")
T = TypeVar("T")

_Work = tuple[Future[Any], Callable[[], Any]]


class Threads(Executor):
    """At most `limit` threads, begun when they are needed; belongs to the running event loop."""

    def __init__(self, limit: int) -> None:
        refusal = "the threads of this engine have been shut down"
        self._crew: Crew[_Work] = Crew(limit, self._begin, refusal)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._crew.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Begin nothing more; threads end when they are free. Never waits."""
        self._crew.close()

    def _begin(self, number: int) -> None:
        name = f"baton-step-{number}"
        Thread(target=self._serve, args=(_claiming(),), name=name, daemon=True).start()

    def _serve(self, claimed: AbstractContextManager[None]) -> None:
        with claimed:
            while True:
                work = self._crew.take()
                if work is None:
                    return
                _perform(*work, self._crew.finish)
                # What it refers to is not kept until the next one comes.
                del work


def _perform(future: Future[Any], call: Callable[[], Any], finish: Callable[[], None]) -> None:
    if not future.set_running_or_notify_cancel():
        finish()
        return
    try:
        result = call()
    except BaseException as error:
        finish()
        future.set_exception(error)
    else:
        finish()
        future.set_result(result)


def _claiming() -> AbstractContextManager[None]:
    """Makes the thread that enters it one where `anyio.from_thread.run` finds the running loop."""
    if claim_worker_thread is None:
        return nullcontext()
    return _claimed(get_async_backend(), asyncio.get_running_loop())


@contextmanager
def _claimed(backend: Any, loop: asyncio.AbstractEventLoop) -> Generator[None, None, None]:
    with claim_worker_thread(backend, loop):  # pyright: ignore[reportOptionalCall]
        # For `anyio.from_thread.check_cancelled`: no scope of anyio's surrounds a step.
        threadlocals.current_cancel_scope = None
        yield
