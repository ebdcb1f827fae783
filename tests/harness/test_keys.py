"""Short rounds of many waits and events by few keys, and short long transactions; see `keys`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from keys.held import HELD, hold
from keys.rounds import engines, play
from races.waiting import mutate
from support.running import fast
from two_engines import truth
from two_engines.truth import Ledger
from two_engines.workers import Planned

WAITS = 120
KEYS = 4


@pytest.fixture
async def noted(dsn: str) -> str:
    await truth.create(dsn)
    return dsn


@pytest.mark.timeout(240)
@pytest.mark.parametrize("when", ["early", "late"])
async def test_no_event_lies_beside_a_wait(noted: str, tmp_path: Path, when: str) -> None:
    """Three engines arm, and are killed."""
    async with (
        engines(noted, tmp_path, 3) as berths,
        fast(noted, name="application", queues={}) as engine,
    ):
        report = await play(engine, berths, when, KEYS, WAITS, quiet=90, between=0.2)
    assert report.faults == [], report
    assert report.ended == WAITS
    assert report.kills > 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("naive", [True, False])
async def test_the_naive_variant_leaves_some(noted: str, naive: bool) -> None:
    """Whoever arms waits for the event that another takes, and has looked already."""
    Planned.ledger = Ledger(noted)
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(fast(noted, name=f"e{number}", queues={"default": 20}))
            for number in range(3)
        ]
        if naive:
            connection = await asyncpg.connect(noted)
            await mutate(
                connection,
                "baton_decide_waits",
                (r"v_passed := [^;]*;", "v_passed := false;"),
                (r"LIMIT 1\s+FOR NO KEY UPDATE SKIP LOCKED", "LIMIT 1"),
            )
            await mutate(connection, "baton_arm", (r"WHEN p_new AND", "WHEN false AND"))
            await connection.close()
        report = await play(started[0], (), "early", KEYS, WAITS, quiet=30)
    await Planned.ledger.close()
    assert (report.pending > 0) is naive, report
    assert (report.faults != []) is naive, report


@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", HELD[1:])
async def test_a_long_transaction_holds_back_nobody_else(dsn: str, what: str) -> None:
    base = await hold(dsn, "nothing", 1.5)
    found = await hold(dsn, what, 4.0)
    assert found.p95 < 0.5 + base.p95, (base, found)
    assert found.workflows > 10
    assert found.ended
