"""A step that blocks the event loop is told of: nothing else in the process shows it."""

from __future__ import annotations

from time import monotonic

import pytest

from baton import Baton, Step, worker
from baton.runtime import loops
from support.running import running
from support.waiting import eventually

TOLD = "the event loop was blocked for"


@worker(name="blocked_loop.blocks")
async def blocks(step: Step) -> None:
    started = monotonic()
    while monotonic() - started < 0.8:
        pass


async def test_a_blocked_event_loop_is_told_of_once(
    dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "BLOCKED", 0.4)
    async with running(dsn, poll_interval=0.05) as run:
        await run.completed(Baton().add("a", blocks.new()).add("b", blocks.new(), deps=["a"]))

        async def told() -> bool:
            return TOLD in caplog.text

        await eventually(told)
    assert caplog.text.count(TOLD) == 1
