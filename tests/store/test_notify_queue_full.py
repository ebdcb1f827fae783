"""A server that has no room for notifications: everything is written, and told later."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from baton import Baton, Cancel, Step, schema, worker
from baton.store import notifications
from baton.store.notifications import MUTED, ROOM, Notifications
from baton.store.store import store_of
from support.databases import create_database
from support.full_queue import full_queue, small_queue_server
from support.running import running

begun = 0


@worker
async def precious(step: Step) -> str:
    global begun
    begun += 1
    return "precious result"


@worker
async def refuses(step: Step) -> Cancel:
    return Cancel("no")


@worker
async def reads(step: Step) -> str:
    return await step.result("a", str)


@pytest.fixture(scope="module")
def small_queue() -> Iterator[str]:
    with small_queue_server() as server:
        yield server


async def test_a_full_queue_loses_nothing_and_performs_nothing_twice(
    small_queue: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await create_database(small_queue)
    await schema.migrate(dsn)
    # `b` waits in a queue that no engine serves, so that the settlement of `a` notifies.
    before = begun
    alone = Baton().add("a", precious.new())
    two = Baton().add("a", precious.new())
    two.add("b", reads.new(), deps=["a"], queue="elsewhere")
    failing = Baton().add("a", refuses.new()).add("b", reads.new(), deps=["a"])
    async with running(dsn, poll_interval=0.05) as run:
        async with full_queue(dsn) as idle:
            for workflow in (two, alone, failing):
                await run.insert(workflow)
            assert (await run.tables.until(two, "a", "completed")).result == "precious result"
            assert (await run.tables.until(two, "b", "available")).attempt == 0
            assert (await run.tables.until(alone, "a", "completed")).result == "precious result"
            await run.tables.until(failing, "b", "cancelled")
            assert begun == before + 2
            warnings = [r for r in caplog.records if "queue of notifications" in r.message]
            assert len(warnings) == 1
            # Whoever calls an engine meets no full queue either.
            muted = store_of(run.engine).notifications
            monkeypatch.setattr(muted, "_muted_until", 0.0)
            await run.engine.workflow(two.workflow_id).cancel()
            assert (await run.tables.step(two, "b")).state == "cancelled"
            await idle.execute("COMMIT")
        # The queue is read by now, and nobody has asked for its usage since.
        for _ in range(3):
            await run.completed(Baton().add("a", precious.new()))
        assert await run.tables.value("SELECT pg_notification_queue_usage()") < 0.1


class Server:
    """A queue of notifications that is full until `room` is set."""

    def __init__(self, room: float = 1.0) -> None:
        self.room = room
        self.asked = 0
        self.written: list[bool] = []

    async def usage(self) -> float:
        self.asked += 1
        return self.room

    async def write(self, notify: bool) -> bool:
        self.written.append(notify)
        if notify and self.room > ROOM:
            raise FULL
        return notify


FULL = asyncpg.PostgresError.new(
    {"S": "ERROR", "C": "54000", "M": "too many notifications in the NOTIFY queue", "F": "async.c"}
)


async def test_notifications_are_left_out_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(notifications, "monotonic", lambda: now)
    server = Server()
    sends = Notifications(server.usage)
    assert await sends.send(server.write) is False
    assert server.written == [True, False]
    assert await sends.send(server.write) is False
    assert (server.written[2:], server.asked) == ([False], 1)
    server.room = 0.0
    now += MUTED
    assert await sends.send(server.write) is True
    assert await sends.send(server.write, wanted=False) is False


async def test_what_the_server_forgets_when_asked_is_room_at_once() -> None:
    server = Server()

    async def usage() -> float:
        server.room = 0.0
        return server.room

    assert await Notifications(usage).send(server.write) is True
    assert server.written == [True, True]


async def test_a_server_that_says_there_is_room_and_has_none_is_not_asked_for_ever() -> None:
    server = Server()

    async def usage() -> float:
        return 0.0

    assert await Notifications(usage).send(server.write) is False
    assert server.written == [True, True, False]


async def test_other_failures_are_raised_as_they_are() -> None:
    async def write(notify: bool) -> None:
        raise ValueError(notify)

    server = Server()
    with pytest.raises(ValueError, match="True"):
        await Notifications(server.usage).send(write)
    assert server.asked == 0
