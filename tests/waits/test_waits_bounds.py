"""Which events count for which waits: none for a step that has settled, none after the deadline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from baton import Baton, Delivery, EngineSettings, send_event
from baton.store.due import expire_groups
from baton.waits.control import cancel_wait
from baton.waits.expire import expire_waits
from races.arena import Arena, Workflow, arena, noop
from support.inserting import Client


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def waits(**options: Any) -> Baton:
    return (
        Baton()
        .wait("g", any_of=["x"], timeout=600, correlation_key="k", **options)
        .add("after", noop.new(), deps=["g"])
    )


async def send(ring: Arena, to: Workflow | str) -> Delivery:
    client = Client(ring.right, EngineSettings())
    if isinstance(to, str):
        return await send_event(None, "x", 1, correlation_key=to, engine=client)
    return await send_event(to.id, "x", 1, engine=client)


async def group(ring: Arena, workflow: Workflow) -> tuple[str, str]:
    """The status of a workflow's only wait, and the state of its event."""
    row = await ring.monitor.fetchrow(
        "SELECT g.status, m.state FROM baton.workflow_wait_groups g "
        "JOIN baton.workflow_wait_members m ON m.group_id = g.id WHERE g.workflow_id = $1",
        workflow.id,
    )
    assert row is not None
    return row["status"], row["state"]


async def settled_by_hand(ring: Arena, workflow: Workflow) -> None:
    await ring.monitor.execute(
        "UPDATE baton.workflow_nodes SET state = 'cancelled' WHERE job_id = $1", workflow["g"]
    )


async def overdue(ring: Arena, workflow: Workflow) -> None:
    """Its time is over, and nobody has looked."""
    await ring.monitor.execute(
        "UPDATE baton.workflow_wait_groups SET deadline = now() - interval '1 second', "
        "wake_at = now() - interval '1 second' WHERE workflow_id = $1",
        workflow.id,
    )


@pytest.mark.parametrize("by_key", [False, True])
async def test_a_step_that_has_settled_receives_nothing(ring: Arena, by_key: bool) -> None:
    (workflow,) = await ring.insert(waits())
    await settled_by_hand(ring, workflow)
    assert await send(ring, "k" if by_key else workflow) is Delivery.BUFFERED
    assert await group(ring, workflow) == ("pending", "waiting")
    events = await ring.monitor.fetch("SELECT state, receivers FROM baton.workflow_events")
    assert [tuple(row) for row in events] == [("kept", 0)]


async def test_an_event_by_a_key_passes_by_who_has_settled(ring: Arena) -> None:
    settled, waiting = await ring.insert(waits(), waits())
    await settled_by_hand(ring, settled)
    assert await send(ring, "k") is Delivery.SETTLED
    assert await group(ring, settled) == ("pending", "waiting")
    assert await group(ring, waiting) == ("completed", "received")


@pytest.mark.parametrize("by_key", [False, True])
async def test_what_is_sent_after_the_deadline_does_not_count(ring: Arena, by_key: bool) -> None:
    """However long nobody looks: the wait ends by its time, and the event is kept for others."""
    (workflow,) = await ring.insert(waits())
    await overdue(ring, workflow)
    assert await send(ring, "k" if by_key else workflow) is Delivery.BUFFERED
    await expire_waits(ring.right, EngineSettings())
    assert await group(ring, workflow) == ("timeout", "missed")
    assert await ring.monitor.fetchval("SELECT state FROM baton.workflow_events") == "kept"
    assert await ring.states([workflow["after"]]) == ["available"]


@pytest.mark.parametrize("on_timeout", ["result", "cancel"])
async def test_an_event_that_is_being_handed_out_at_the_deadline_still_comes(
    ring: Arena, conn: Any, on_timeout: str
) -> None:
    """It was sent in time, and somebody holds its row while the time of the wait runs out."""
    options = {} if on_timeout == "result" else {"on_timeout": on_timeout}
    (workflow,) = await ring.insert(waits(**options))
    await conn.execute(
        "INSERT INTO baton.workflow_events (correlation_key, name, payload, state, sent_at) "
        "VALUES ('k', 'x', '1', 'kept', now() - interval '1 minute')"
    )
    async with conn.transaction():
        await conn.execute("SELECT FROM baton.workflow_events FOR UPDATE")
        await overdue(ring, workflow)
        await expire_waits(ring.right, EngineSettings())
        assert await group(ring, workflow) == ("pending", "waiting")
    await overdue(ring, workflow)
    await expire_waits(ring.right, EngineSettings())
    assert await group(ring, workflow) == ("completed", "received")
    assert await ring.states([workflow["after"]]) == ["available"]


async def test_who_is_in_time_receives_it_beside_who_is_late(ring: Arena) -> None:
    late, early = await ring.insert(waits(), waits())
    await overdue(ring, late)
    assert await send(ring, "k") is Delivery.SETTLED
    assert await group(ring, early) == ("completed", "received")
    await expire_waits(ring.right, EngineSettings())
    assert await group(ring, late) == ("timeout", "missed")


async def test_a_wait_that_is_not_due_is_not_ended(ring: Arena) -> None:
    """Somebody found it due, and it was looked at in the meantime."""
    (workflow,) = await ring.insert(waits())
    number = await ring.monitor.fetchval("SELECT id FROM baton.workflow_wait_groups")
    await send(ring, "other")
    reply = await expire_groups(ring.right, [number], notify=False)
    assert (reply.waits, reply.failing) == ([], [])
    assert await group(ring, workflow) == ("pending", "waiting")


@pytest.mark.parametrize(
    ("on_timeout", "state"), [("cancel", "cancelled"), ("discard", "discarded")]
)
async def test_a_time_out_that_fails_the_step_ends_it_when_time_is_over(
    ring: Arena, on_timeout: str, state: str
) -> None:
    (workflow,) = await ring.insert(waits(on_timeout=on_timeout))
    await expire_waits(ring.right, EngineSettings())
    assert await group(ring, workflow) == ("pending", "waiting")
    await overdue(ring, workflow)
    await expire_waits(ring.right, EngineSettings())
    assert (await group(ring, workflow))[0] == "timeout"
    assert (await ring.facts(workflow["g"])).settled == state


async def test_a_wait_step_that_is_not_armed_yet_can_be_cancelled(ring: Arena) -> None:
    (workflow,) = await ring.insert(
        Baton()
        .add("a", noop.new())
        .wait("g", any_of=["x"], timeout=600, deps=["a"])
        .add("after", noop.new(), deps=["g"])
    )
    await ring.claim()
    assert (await group(ring, workflow))[0] == "dormant"
    assert await cancel_wait(
        workflow.id, "g", "enough", engine=Client(ring.right, EngineSettings())
    )
    assert await group(ring, workflow) == ("cancelled", "missed")
    assert (await ring.facts(workflow["g"])).settled == "cancelled"
    assert (await ring.facts(workflow["after"])).settled == "cancelled"
    assert await send(ring, workflow) is Delivery.BUFFERED
