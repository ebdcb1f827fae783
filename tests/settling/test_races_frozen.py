"""A process may be stopped anywhere, also while it has a workflow locked: the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from baton.errors import UnavailableError
from baton.settling.settle_failures import settle_failures
from baton.store.store import Store
from baton.words.effects import Effects
from baton.words.rows import Outcome
from baton.words.states import JobState
from races.arena import DEADLINE, Arena, HeldSide, arena, roots, settle

IDLE = 0.2


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


class Retrying(HeldSide):
    """Tries again, as the real one does."""

    retrying = Store.retrying


async def frozen(side: HeldSide, outcome: Outcome) -> asyncio.Task[Effects]:
    """A settlement that has done everything but its commit."""
    await side.open()
    side.arm()
    settling = asyncio.create_task(settle_failures(side, [outcome], notify=False))
    async with asyncio.timeout(DEADLINE):
        await side.reached.wait()
    return settling


async def test_a_frozen_settlement_loses_its_lock(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots())
    await ring.claim()
    side = HeldSide(ring.right.dsn, "race-frozen", idle_timeout=IDLE)
    try:
        lost = ring.ended(workflow["r1"], JobState.DISCARDED, error="no")
        settling = await frozen(side, lost)
        async with asyncio.timeout(DEADLINE):
            reply = await settle(ring.right, ring.done(workflow["r2"]))
        assert reply.stale == []
        assert await ring.states([workflow["r1"]]) == ["executing"]
        side.let_go()
        with pytest.raises(UnavailableError):
            await settling
    finally:
        await side.close()


async def test_a_settlement_that_thaws_is_done_again(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots())
    await ring.claim()
    side = Retrying(ring.right.dsn, "race-frozen", idle_timeout=IDLE)
    try:
        lost = ring.ended(workflow["r1"], JobState.DISCARDED, error="no")
        settling = await frozen(side, lost)
        await settle(ring.right, ring.done(workflow["r2"]))
        side.let_go()
        async with asyncio.timeout(DEADLINE):
            failures = await settling
        assert failures.accepted == {workflow["r1"]}
        assert len(failures.completions) == 1
    finally:
        await side.close()
    assert await ring.violations() == []
