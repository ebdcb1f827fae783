"""An event by a key is sent while a verb has a wait begin that nobody sees before its commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from uuid import uuid4

import pytest

from baton import Baton, Delivery
from baton.runs.actions import Told
from baton.runs.complete import complete_step
from baton.runs.fork import asked_fork, fork_workflow
from baton.runs.retry import asked, retry_workflow
from baton.settling.settle_failures import settle_failures
from baton.store.resetting import Resetting
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.states import JobState
from races.arena import DEADLINE, HeldSide, Workflow, noop
from races.waiting import Move, WaitRing, send, wait_ring

NOBODY = Told(None, None)

Begin: TypeAlias = Callable[[WaitRing], Awaitable[Move]]
"""Makes a workflow, and gives the verb that has a wait of it begin."""


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[WaitRing]:
    async with wait_ring(dsn) as made:
        yield made


@pytest.fixture
async def held(dsn: str) -> AsyncIterator[HeldSide]:
    side = HeldSide(dsn, "race-held")
    await side.open()
    try:
        yield side
    finally:
        side.let_go()
        await side.close()


async def inserted(ring: WaitRing, *deps: str) -> Workflow:
    def make() -> Baton:
        flow = Baton().add("a", noop.new())
        return flow.wait("w", any_of=["x"], deps=deps, correlation_key="k")

    (workflow,) = await ring.insert(make, 1)
    return workflow


async def forking(ring: WaitRing) -> Move:
    """The dependency of the wait step is taken over, so that the wait begins with the fork."""
    workflow = await inserted(ring, "a")
    await ring.complete(workflow["a"])(ring.sides[0])
    await send(None, "x", 0, correlation_key="k")(ring.sides[0])
    await ring.settle_down()

    async def move(database: Store) -> None:
        asks = asked_fork(["w"], None, None)
        await fork_workflow(database, workflow.id, uuid4(), asks, NOBODY, notify=False)

    return move


async def retrying(ring: WaitRing) -> Move:
    """The wait step has had its event, and waits for another."""
    workflow = await inserted(ring)
    await send(None, "x", 0, correlation_key="k")(ring.sides[0])
    await ring.settle_down()

    async def move(database: Store) -> None:
        asks = asked("failed", ["w"], None, keep_memos=False, interrupt=False)
        await retry_workflow(database, workflow.id, asks, NOBODY, notify=False)

    return move


async def completing(ring: WaitRing) -> Move:
    """The wait step was cancelled before it began, and begins after all."""
    workflow = await inserted(ring, "a")
    claim = ring.claims[workflow["a"]]
    failed = Outcome(
        claim.id, claim.attempted_at, claim.attempt, JobState.DISCARDED, error="broken"
    )
    await settle_failures(ring.sides[0], [failed], notify=False)

    async def move(database: Store) -> None:
        await complete_step(database, workflow.id, "a", '{"value":1}', NOBODY, notify=False)

    return move


VERBS = pytest.mark.parametrize("begin", [forking, retrying, completing])


@asynccontextmanager
async def before_its_commit(held: HeldSide, verb: Move) -> AsyncIterator[None]:
    """The verb has done all but commit, and commits at the end of the block."""
    held.arm()
    async with asyncio.timeout(DEADLINE):
        done = asyncio.ensure_future(verb(held))
        await held.reached.wait()
        yield
        held.let_go()
        await done


async def waits_left(ring: WaitRing, held: HeldSide, begin: Begin) -> int:
    """Waits that are open when an event was sent beside the verb and the timers have looked."""
    verb = await begin(ring)
    async with before_its_commit(held, verb):
        delivery = await send(None, "x", 1, correlation_key="k")(ring.sides[1])
        assert delivery is Delivery.BUFFERED
    await ring.settle_down()
    return (await ring.statuses())["pending"]


@VERBS
async def test_the_event_arrives(ring: WaitRing, held: HeldSide, begin: Begin) -> None:
    assert await waits_left(ring, held, begin) == 0
    assert await ring.violations() == []


@VERBS
async def test_without_another_look_it_stays(
    ring: WaitRing, held: HeldSide, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resetting, "_unseen", False)
    assert await waits_left(ring, held, begin) == 1
