"""Threads that are begun when calls need them: what `Threads` and `ProcessExecutor` share."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock
from typing import Generic, TypeVar

C = TypeVar("C")


class Crew(Generic[C]):
    """Calls that wait, and at most `limit` threads that take them. `begin` begins one thread, and
    is given its number. Every thread takes calls until it gets None, and says `finish` for each.
    `refusal` is said to whoever comes when it is closed.
    """

    def __init__(self, limit: int, begin: Callable[[int], None], refusal: str) -> None:
        self._limit = limit
        self._begin = begin
        self._refusal = refusal
        self._calls: SimpleQueue[C | None] = SimpleQueue()
        self._lock = Lock()
        self._unfinished = 0
        self._closed = False
        self.count = 0

    def put(self, call: C) -> None:
        """Have a thread take a call. Raises RuntimeError once it is closed."""
        with self._lock:
            if self._closed:
                raise RuntimeError(self._refusal)
            self._calls.put(call)
            # Not how many threads seem idle: one that has just taken a call seems so too.
            self._unfinished += 1
            if self.count < min(self._unfinished, self._limit):
                self.count += 1
                self._begin(self.count)

    def take(self) -> C | None:
        """The next call; None: end."""
        return self._calls.get()

    def finish(self) -> None:
        """A call that was taken has ended. To be said before anybody sees its end: who then makes
        another one needs no further thread.
        """
        with self._lock:
            self._unfinished -= 1

    def close(self) -> None:
        """Take no more calls; threads end when they are free."""
        with self._lock:
            self._closed = True
            for _ in range(self.count):
                self._calls.put(None)
