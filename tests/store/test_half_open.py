"""A listener whose connection dies silently, and notifications that are lost: polling goes on."""

from __future__ import annotations

import asyncpg
import pytest

from baton import Baton, EngineSettings, Step, worker
from baton.runtime import notifier
from baton.store.dedicated import Dedicated
from baton.store.store import Store
from support.door import Door, door
from support.inserting import Client
from support.running import fast, opened
from support.waiting import DEADLINE, eventually

NEVER = 300.0


@worker(name="half_open.works")
async def works(step: Step) -> str:
    return "done"


async def _insert(dsn: str, workflow: Baton) -> None:
    """So that nobody in this process is woken by it."""
    connection = await asyncpg.connect(dsn)
    try:
        await workflow.insert(engine=Client(Store(dsn), EngineSettings()), conn=connection)
    finally:
        await connection.close()


async def _listening(front: Door) -> None:
    """Until a listener has heard its own probe: it has told everybody that it listens."""
    before = front.heard

    async def look() -> bool:
        return front.listeners == 1 and front.heard > before

    await eventually(look)


async def test_a_silent_listener_is_noticed(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither end hears of the other: first polling does the work, then a new listener."""
    monkeypatch.setattr(notifier, "PROBE_INTERVAL", 0.2)
    connect = Dedicated.connect

    async def impatient(connection: Dedicated) -> None:
        connection._timeout = 1.0
        await connect(connection)

    monkeypatch.setattr(Dedicated, "connect", impatient)
    async with door(dsn) as front, fast(front.dsn, poll_interval=0.1) as engine:
        await _listening(front)
        assert front.blackhole() == 1
        workflow = Baton().add("a", works.new()).wait("g", any_of=["x"], deps=["a"], timeout=0.1)
        await _insert(dsn, workflow)
        await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        await _listening(front)
        assert front.noticed == 1


async def test_lost_notifications_are_made_up_for(dsn: str) -> None:
    async with door(dsn) as front, fast(front.dsn, poll_interval=0.1) as engine:
        await _listening(front)
        front.swallowing = True
        workflow = Baton().add("a", works.new()).wait("g", any_of=["x"], deps=["a"], timeout=0.1)
        await _insert(dsn, workflow)
        await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        assert front.swallowed > 0
        assert front.listeners == 1


async def test_without_polling_it_would_not_end(dsn: str) -> None:
    """The door does lose them: what the tests above show is polling's doing."""
    async with door(dsn) as front, fast(front.dsn, poll_interval=NEVER):
        await _listening(front)
        front.swallowing = True
        workflow = Baton().add("a", works.new())
        await _insert(dsn, workflow)

        async def lost() -> bool:
            return front.swallowed > 0

        await eventually(lost)
        async with opened(dsn) as tables:
            assert (await tables.step(workflow, "a")).state == "available"
