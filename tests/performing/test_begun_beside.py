"""A call begins although the only thread there is has just been given another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from baton.performing.process_executor import ProcessExecutor
from baton.performing.threads import Threads
from support.waiting import DEADLINE


class Held(SimpleQueue[Any]):
    """A queue whose `get` has taken an item, and does not return yet."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = threading.Event()
        self.go = threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        item = super().get(block, timeout)
        self.taken.set()
        self.go.wait(DEADLINE)
        return item


@pytest.mark.parametrize(
    "make", [lambda: Threads(2), lambda: ProcessExecutor(2)], ids=["threads", "processes"]
)
async def test_a_second_call_has_a_thread_of_its_own(
    make: Callable[[], Threads | ProcessExecutor],
) -> None:
    pool, held = make(), Held()
    pool._crew._calls = held
    first = pool.submit(abs, -1)
    assert held.taken.wait(DEADLINE)
    second = pool.submit(abs, -2)
    try:
        assert pool._crew.count == 2
    finally:
        held.go.set()
    assert (first.result(DEADLINE), second.result(DEADLINE)) == (1, 2)
    pool.shutdown()


async def test_one_call_after_the_other_has_one_thread() -> None:
    pool = Threads(8)
    for number in range(200):
        assert pool.submit(abs, -number).result(DEADLINE) == number
    assert pool._crew.count == 1
    pool.shutdown()
