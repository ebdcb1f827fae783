"""Many waits share the mailbox of a key, and nobody waits for anybody because of it; and the
variants that lose events.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from baton import Baton, Delivery, send_event
from baton.store.store import Store
from baton.store.waits import wait_json
from baton.words.rows import NewWait
from races.arena import noop
from races.waiting import WaitRing, send, wait_ring

ROUNDS = 40
MANY = 6
"""Waits armed at once, and events that lie ready for them."""


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[WaitRing]:
    async with wait_ring(dsn) as made:
        yield made


def waiting(key: str, *names: str) -> NewWait:
    return NewWait(names or ("x",), len(names or ("x",)), replay_key="#1", correlation_key=key)


async def without_another_look(ring: WaitRing) -> None:
    """The variant that decides on what it sees, as a workflow's own mailbox allows it to."""
    await ring.mutate("baton_decide_waits", (r"v_passed := [^;]*;", "v_passed := false;"))
    await ring.mutate("baton_arm", (r"WHEN p_new AND", "WHEN false AND"))


async def waiting_for_rows(ring: WaitRing) -> None:
    """The variant that waits for an event somebody takes, and then has looked already."""
    await without_another_look(ring)
    await ring.mutate("baton_decide_waits", (r"LIMIT 1\s+FOR NO KEY UPDATE SKIP LOCKED", "LIMIT 1"))


async def send_some(ring: WaitRing, key: str, count: int) -> None:
    for number in range(count):
        assert (
            await send(None, "x", number, correlation_key=key)(ring.sides[0]) is Delivery.BUFFERED
        )


async def suspended(
    ring: WaitRing, side: Store, connection: asyncpg.Connection[Any], job_id: int, key: str
) -> None:
    """Put a step to sleep in an open transaction."""
    job = ring.claims[job_id]
    args = [job.id], [job.attempted_at], [wait_json(waiting(key))], False
    await connection.fetch(side.sql("suspend_jobs"), *args)


async def taken(ring: WaitRing) -> Counter[int]:
    """How many waits have each event that was sent."""
    rows = await ring.monitor.fetch(
        "SELECT e.id, count(m.event_id) AS n FROM baton.workflow_events e"
        " LEFT JOIN baton.workflow_wait_members m ON m.event_id = e.id GROUP BY e.id"
    )
    return Counter({row["id"]: row["n"] for row in rows})


async def arm_at_once(ring: WaitRing, rounds: int) -> None:
    for number in range(rounds):
        key = f"k{number}"
        await send_some(ring, key, MANY)
        steps = [w["s"] for w in await ring.insert(lambda: Baton().add("s", noop.new()), MANY)]
        await ring.at_once(*(ring.suspend(step, waiting(key)) for step in steps))
    await ring.settle_down()


async def test_waits_armed_at_once_take_what_lies_ready(ring: WaitRing) -> None:
    await arm_at_once(ring, ROUNDS)
    assert await ring.statuses() == {"completed": ROUNDS * MANY}
    assert set((await taken(ring)).values()) == {1}
    assert set((await ring.settled()).values()) == {1}
    assert await ring.violations() == []


async def test_without_another_look_they_wait_beside_it(ring: WaitRing) -> None:
    await waiting_for_rows(ring)
    await arm_at_once(ring, ROUNDS)
    assert (await ring.statuses())["pending"] > 0
    assert await ring.violations() != []


async def test_a_locked_event_leaves_the_others(ring: WaitRing) -> None:
    """Two events, two waits: the second is armed before the first has committed."""
    await send_some(ring, "k", 2)
    first, second = [w["s"] for w in await ring.insert(lambda: Baton().add("s", noop.new()), 2)]
    side = ring.sides[0]
    async with side.transaction() as connection:
        await suspended(ring, side, connection, first, "k")
        async with asyncio.timeout(5):
            assert await ring.suspend(second, waiting("k"))(ring.sides[1]) == 1
        assert await ring.statuses() == {"completed": 1}
    assert await ring.statuses() == {"completed": 2}


async def gates(ring: WaitRing, key: str) -> list[tuple[int, int]]:
    """Two workflows: the step above a gate with this key, and the gate."""
    made = await ring.insert(
        lambda: (
            Baton().add("a", noop.new()).wait("g", any_of=["x"], deps=["a"], correlation_key=key)
        ),
        2,
    )
    return [(workflow["a"], workflow["g"]) for workflow in made]


async def roll_back_a_taker(ring: WaitRing) -> None:
    """One event: a gate takes it, another finds it locked, and the first rolls back."""
    await send_some(ring, "k", 1)
    (_, gate), (above, _) = await gates(ring, "k")
    side = ring.sides[0]
    async with side.connection() as connection:
        taking = connection.transaction()
        await taking.start()
        arm = "SELECT kind FROM baton.baton_arm($1::bigint[], true, false, false)"
        await connection.fetch(arm, [gate])
        async with asyncio.timeout(5):
            await ring.complete(above)(ring.sides[1])
        await taking.rollback()
    await ring.settle_down()


async def test_an_event_whose_taker_rolled_back_is_taken(ring: WaitRing) -> None:
    await roll_back_a_taker(ring)
    assert (await ring.statuses())["completed"] == 1


async def test_without_another_look_it_stays(ring: WaitRing) -> None:
    await without_another_look(ring)
    await roll_back_a_taker(ring)
    assert (await ring.statuses())["completed"] == 0


async def send_beside_an_armer(ring: WaitRing) -> None:
    """A step has looked into the mailbox of its key, and commits after the event was sent."""
    (workflow,) = await ring.insert(lambda: Baton().add("s", noop.new()), 1)
    armer, sender = ring.sides[:2]
    async with armer.transaction() as connection:
        await suspended(ring, armer, connection, workflow["s"], "k")
        async with asyncio.timeout(5):
            assert await send(None, "x", correlation_key="k")(sender) is Delivery.BUFFERED
    await ring.settle_down()


async def test_a_sender_does_not_wait_for_who_begins_to_wait(ring: WaitRing) -> None:
    await send_beside_an_armer(ring)
    assert await ring.statuses() == {"completed": 1}


async def test_without_another_look_the_event_finds_nobody(ring: WaitRing) -> None:
    await without_another_look(ring)
    await send_beside_an_armer(ring)
    assert await ring.statuses() == {"pending": 1}


async def test_who_begins_to_wait_does_not_wait_for_a_sender(ring: WaitRing) -> None:
    """The event is sent in a transaction that stays open; gates and steps are armed meanwhile."""
    ((above, _), _) = await gates(ring, "k")
    (workflow,) = await ring.insert(lambda: Baton().add("s", noop.new()), 1)
    side = ring.sides[0]
    async with side.transaction() as connection:
        await send_event(None, "x", 1, correlation_key="k", conn=connection)
        async with asyncio.timeout(5):
            await ring.complete(above)(ring.sides[1])
            await ring.suspend(workflow["s"], waiting("k"))(ring.sides[2])
        assert await ring.statuses() == {"pending": 2, "dormant": 1}
    await ring.settle_down()
    assert await ring.statuses() == {"completed": 3 - 1, "dormant": 1}


async def hold_open(ring: WaitRing) -> Sequence[int]:
    """An event is open for a workflow that is locked, while another waits for it in a loop."""
    locked, looping = await ring.insert(lambda: Baton().add("s", noop.new()), 2)
    for workflow in (locked, looping):
        await ring.suspend(workflow["s"], waiting("k"))(ring.sides[0])
    await ring.settle_down()
    side = ring.sides[0]
    async with side.transaction() as connection:
        await connection.fetch(side.sql("lock_workflows"), [locked.id])
        assert await send(None, "x", correlation_key="k")(ring.sides[1]) is Delivery.SETTLED
        # The step runs again, and comes to its next wait with the same key.
        await ring.reclaim(ring.sides[1])
        again = replace(waiting("k"), replay_key="#2")
        await ring.suspend(looping["s"], again)(ring.sides[1])
        await asyncio.wait_for(ring.look(ring.sides[1]), 5)
        found = await ring.statuses()
    await ring.settle_down()
    return [found["completed"], (await ring.statuses())["completed"]]


async def test_an_event_that_stays_open_is_received_once(ring: WaitRing) -> None:
    """The one that was there when it was sent receives it when its lock is gone."""
    assert await hold_open(ring) == [1, 2]
    assert set((await taken(ring)).values()) == {2}


async def test_without_a_bound_it_is_received_again(ring: WaitRing) -> None:
    for function in ("baton_decide_waits", "baton_spread"):
        await ring.mutate(function, (r"AND \(\w+\.receivers = 0 OR \w+\.?\w* <= \w+\.?\w*\)", ""))
    assert (await hold_open(ring))[0] == 2


async def test_the_same_dedupe_id_at_once(ring: WaitRing) -> None:
    """One is recorded; the others are duplicates, also of a sender that has not committed."""
    for number in range(ROUNDS):
        options = {"correlation_key": f"k{number}", "dedupe_id": "d"}
        found = await ring.at_once(*(send(None, "x", **options) for _ in range(MANY)))
        assert Counter(found) == {Delivery.BUFFERED: 1, Delivery.DUPLICATE: MANY - 1}
    side = ring.sides[1]
    async with side.transaction() as connection:
        await send_event(None, "x", 1, correlation_key="late", dedupe_id="d", conn=connection)
        sending = asyncio.create_task(
            ring.at_once(send(None, "x", correlation_key="late", dedupe_id="d"))
        )
        assert await ring.blocked(sending)
    assert await sending == [Delivery.DUPLICATE]


@pytest.mark.parametrize("how", ["suspend", "insert"])
async def test_locks_do_not_grow_with_the_keys(ring: WaitRing, how: str) -> None:
    counted = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
    side = ring.sides[0]
    if how == "suspend":
        workflows = await ring.insert(lambda: Baton().add("s", noop.new()), 50)
        async with side.transaction() as connection:
            for number, workflow in enumerate(workflows):
                await suspended(ring, side, connection, workflow["s"], f"k{number}")
            assert await connection.fetchval(counted) == 0
        return
    gated = Baton()
    for number in range(50):
        gated.wait(f"g{number}", any_of=["x"], correlation_key=f"k{number}")
    async with side.transaction() as connection:
        await gated.insert(conn=connection)
        assert await connection.fetchval(counted) == 0
