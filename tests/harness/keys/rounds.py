"""One round: events by a few keys, and as many waits for them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from uuid import uuid4

import asyncpg

from baton import Baton, Delivery, Engine, insert_all, send_event
from chaos.fleet import OPTIONS, Berth
from support.door import door
from support.invariants import violations
from support.waiting import moment
from two_engines.workers import Awaited, Plan, Planned

NAME = "x"
SENDERS = 4
BATCH = 50

_QUIET = """
SELECT NOT EXISTS (SELECT FROM baton.workflow_events WHERE state = 'open')
AND NOT EXISTS (
    SELECT FROM baton.workflow_wait_groups
    WHERE status = 'pending' AND wake_at < now() + interval '1 minute'
)
AND NOT EXISTS (
    SELECT FROM baton.oban_jobs WHERE state NOT IN ('completed', 'suspended')
)
"""
_FIGURES = """
SELECT
    (SELECT count(*) FROM baton.workflow_wait_groups WHERE status = 'completed') AS ended,
    (SELECT count(*) FROM baton.workflow_wait_groups WHERE status = 'pending') AS pending,
    (SELECT count(*) FROM baton.workflow_events WHERE state = 'kept') AS kept,
    (SELECT count(*) FROM baton.workflow_events WHERE receivers = 1) AS by_one,
    (SELECT count(*) FROM baton.workflow_events WHERE receivers > 1) AS by_many,
    (SELECT count(*) FROM (
        SELECT m.event_id FROM baton.workflow_wait_members m
        JOIN baton.workflow_wait_groups g ON g.id = m.group_id
        WHERE m.event_id IS NOT NULL GROUP BY m.event_id, g.workflow_id HAVING count(*) > 1
    ) twice) AS twice
"""


@dataclass(frozen=True)
class Round:
    """`when` the events were sent: early, before anybody waited; late, while waits were armed."""

    when: str
    keys: int
    waits: int
    seconds: float
    kills: int
    ended: int
    pending: int
    kept: int
    by_one: int
    by_many: int
    faults: list[str]


async def play(
    engine: Engine,
    berths: Sequence[Berth],
    when: str,
    keys: int,
    waits: int,
    *,
    quiet: float,
    between: float = 1.0,
) -> Round:
    """Play one round, by an engine that inserts and sends. One process after the other is killed,
    at most `between` seconds apart; within `quiet` seconds all must have come to rest.
    """
    began = monotonic()
    connection = await asyncpg.connect(engine.database.dsn)
    for table in ("workflow_events", "workflow_wait_members", "workflow_wait_groups"):
        await connection.execute(f"DELETE FROM baton.{table}")
    kills: list[int] = []
    killing = asyncio.create_task(_kill(berths, kills, between)) if berths else None
    try:
        await _happen(engine, when, keys, waits)
        if killing is not None:
            killing.cancel()
        faults = await _rest(connection, quiet)
        figures = await connection.fetchrow(_FIGURES)
        assert figures is not None
        found = dict(figures)
        if found.pop("twice"):
            faults.append("an event was received twice by one workflow")
        if found["pending"]:
            # As many events as waits: one that waits for ever has lost one, whoever has the others.
            faults.append(f"{found['pending']} waits are pending, {found['kept']} events are kept")
        if when == "early" and found["by_one"] != waits:
            faults.append(f"{found['by_one']} of {waits} events were taken by one wait")
        faults += await violations(connection)
        seconds = round(monotonic() - began, 1)
        return Round(when, keys, waits, seconds, len(kills), faults=faults, **found)
    finally:
        if killing is not None:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        await connection.close()


async def _happen(engine: Engine, when: str, keys: int, waits: int) -> None:
    run = uuid4().hex
    names = [f"{run} {number % keys}" for number in range(waits)]
    if when == "early":
        await _send(engine, names, 0.0)
        await _insert(engine, names)
    else:
        middle = len(names) // 2
        await _send(engine, names[:middle], 0.0)
        await asyncio.gather(_insert(engine, names), _send(engine, names[middle:], waits / 1_000))


async def _rest(connection: asyncpg.Connection[asyncpg.Record], quiet: float) -> list[str]:
    """Wait until nothing is due any more, nor runs."""
    end = monotonic() + quiet
    while not await connection.fetchval(_QUIET):
        if monotonic() > end:
            return [f"no rest within {quiet} s"]
        await moment(asyncio.get_running_loop().time() + 0.1)
    return []


async def _insert(engine: Engine, names: Sequence[str]) -> None:
    """Steps, and every third time a gate, that wait with these keys."""
    for start in range(0, len(names), BATCH):
        workflows = []
        for number, key in enumerate(names[start : start + BATCH]):
            if number % 3 == 0:
                workflows.append(Baton().wait("gate", any_of=[NAME], correlation_key=key))
            else:
                wait = Awaited((NAME,), 1, key=key)
                step = Planned(plan=Plan.SUCCEED, waits=(wait,))
                workflows.append(Baton().add("step", step, max_attempts=1_000))
        await insert_all(workflows, engine=engine)


async def _send(engine: Engine, names: Sequence[str], seconds: float) -> None:
    """Send an event by each of these keys, by several senders, over so many seconds."""
    clock = asyncio.get_running_loop().time
    begun, left = clock(), iter(enumerate(names))

    async def work() -> None:
        for number, key in left:
            await moment(begun + seconds * number / len(names))
            # The checker of the steps wants an id in the payload.
            sent = await send_event(
                None, NAME, {"id": str(uuid4())}, correlation_key=key, engine=engine
            )
            assert sent is not Delivery.DUPLICATE

    await asyncio.gather(*(work() for _ in range(SENDERS)))


async def _kill(berths: Sequence[Berth], kills: list[int], between: float) -> None:
    """Kill one process after the other, at moments of chance."""
    clock = asyncio.get_running_loop().time
    while True:
        await moment(clock() + random.uniform(0.1, 1.0) * between)
        await random.choice(berths).kill()
        kills.append(1)


@asynccontextmanager
async def engines(dsn: str, ledger: Path, count: int) -> AsyncIterator[Sequence[Berth]]:
    """Engines in processes that come back when they are killed."""
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(door(dsn)) for _ in range(count)]
        berths = [Berth(behind, ledger, None, **OPTIONS) for behind in doors]
        keeping = [asyncio.create_task(berth.keep()) for berth in berths]
        try:
            for berth in berths:
                await berth.running()
            yield berths
            for berth in berths:
                berth.close()
            await asyncio.gather(*keeping)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
