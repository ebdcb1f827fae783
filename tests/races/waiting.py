"""Races of waits: many sides, each with a connection of its own, none of which tries again."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from baton import Baton, Delivery, EngineSettings, insert_all, send_event
from baton.core.outcome import Ending, outcome
from baton.settling.suspend import suspend
from baton.settling.wait_events import emit_settled_waits
from baton.store.session import server_settings
from baton.store.store import Store
from baton.waits.control import cancel_wait
from baton.waits.expire import expire_waits
from baton.waits.spread import hand_out
from baton.words.events import WaitSettled
from baton.words.rows import ClaimedJob, Job, NewWait
from races.arena import Side, Workflow, done, settle
from support.inserting import Client
from support.invariants import violations
from support.running import Recorder, recorded
from support.waiting import eventually

SIDES = 6
DEADLINE = 30.0

_UNSETTLED = """
SELECT EXISTS (
    SELECT FROM baton.workflow_wait_groups WHERE wake_at < now() + interval '10 s'
) OR EXISTS (SELECT FROM baton.workflow_events WHERE state = 'open')
"""

Move = Callable[[Store], Awaitable[object]]


class WaitRing:
    """Made by `wait_ring`. `told` are the events of this process."""

    def __init__(
        self, sides: Sequence[Side], monitor: asyncpg.Connection[Any], told: Recorder
    ) -> None:
        self.sides = sides
        self.monitor = monitor
        self.told = told
        self.claims: dict[int, ClaimedJob] = {}

    async def insert(self, make: Callable[[], Baton], count: int) -> list[Workflow]:
        """As many of these workflows, their roots claimed."""
        workflows = [make() for _ in range(count)]
        jobs = await insert_all(workflows, conn=self.monitor)
        for job in (await settle(self.sides[0], (), room=100_000)).jobs:
            self.claims[job.id] = job
        steps: dict[UUID, dict[str, Job]] = {}
        for inserted in jobs:
            steps.setdefault(inserted.workflow_id, {})[inserted.name] = inserted
        return [Workflow(workflow_id, named) for workflow_id, named in steps.items()]

    async def at_once(self, *moves: Move) -> list[object]:
        """Each move on a side of its own, in an order by chance."""
        chosen = list(enumerate(moves))
        random.shuffle(chosen)
        async with asyncio.timeout(DEADLINE):
            found = await asyncio.gather(
                *(move(side) for side, (_, move) in zip(self.sides, chosen, strict=False))
            )
        return [value for _, value in sorted(zip((i for i, _ in chosen), found, strict=True))]

    def complete(self, job_id: int) -> Move:
        """Settle a claimed step: the hot path, which arms what is below."""

        async def move(database: Store) -> None:
            reply = await settle(database, [done(self.claims[job_id])], room=0)
            emit_settled_waits(None, reply.waits)

        return move

    def suspend(self, job_id: int, wait: NewWait) -> Move:
        """Put a claimed step to sleep that waits."""

        async def move(database: Store) -> int:
            ended = outcome(self.claims[job_id], Ending.SUSPENDED)._replace(wait=wait)
            failures = await suspend(database, [ended], notify=True)
            emit_settled_waits(None, failures.waits)
            return len(failures.accepted)

        return move

    async def reclaim(self, database: Store) -> None:
        """Claim what has become available again."""
        for job in (await settle(database, (), room=100_000)).jobs:
            self.claims[job.id] = job

    async def look(self, database: Store) -> None:
        """Let the timers look when all that is asked for soon is due."""

        async def asked() -> bool:
            query = (
                "SELECT NOT EXISTS (SELECT FROM baton.workflow_wait_groups"
                " WHERE wake_at BETWEEN clock_timestamp() AND now() + interval '1 s')"
            )
            return bool(await self.monitor.fetchval(query))

        await eventually(asked)
        await sweep(database)

    async def settle_down(self) -> None:
        """Let the timers look until nothing is due, nor will be soon."""

        async def look() -> bool:
            await sweep(self.sides[0])
            return not await self.monitor.fetchval(_UNSETTLED)

        await eventually(look, DEADLINE)

    async def settled(self) -> Counter[int]:
        """How often each step's wait was told to have settled."""
        return Counter(event.job_id for event in self.told.of(WaitSettled))

    async def statuses(self) -> Counter[str]:
        rows = await self.monitor.fetch(
            "SELECT status, count(*) AS n FROM baton.workflow_wait_groups GROUP BY status"
        )
        return Counter({row["status"]: row["n"] for row in rows})

    async def states(self, job_ids: Sequence[int]) -> Counter[str]:
        rows = await self.monitor.fetch(
            "SELECT state::text, count(*) AS n FROM baton.oban_jobs WHERE id = ANY ($1::bigint[])"
            " GROUP BY state",
            list(job_ids),
        )
        return Counter({row["state"]: row["n"] for row in rows})

    async def blocked(self, running: asyncio.Future[Any]) -> bool:
        """Until a side waits for a lock (True) or the work has ended (False)."""
        while not running.done():
            if await self.monitor.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'race-%'"
                " AND datname = current_database() AND wait_event_type = 'Lock')"
            ):
                return True
            await asyncio.wait({running}, timeout=0.002)
        return False

    async def violations(self) -> list[str]:
        return await violations(self.monitor)

    async def mutate(self, function: str, *changes: tuple[str, str]) -> None:
        """Change a function of the schema; see `mutate`."""
        await mutate(self.monitor, function, *changes)


async def mutate(
    connection: asyncpg.Connection[Any], function: str, *changes: tuple[str, str]
) -> None:
    """Change a function of the schema by regular expressions, each of which must be found."""
    text: str = await connection.fetchval(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.proname = $1", function
    )
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        assert count, (function, pattern)
    await connection.execute(text)


def send(workflow_id: UUID | None, name: str, payload: object = None, **options: Any) -> Move:
    async def move(database: Store) -> Delivery:
        client = Client(database, EngineSettings())
        return await send_event(workflow_id, name, payload, engine=client, **options)

    return move


def cancel(workflow_id: UUID, step: str) -> Move:
    async def move(database: Store) -> bool:
        return await cancel_wait(workflow_id, step, "no", engine=Client(database, EngineSettings()))

    return move


async def sweep(database: Store) -> int:
    """One look of the timers."""
    settled = await expire_waits(database, EngineSettings())
    return settled + await hand_out(database, EngineSettings())


@asynccontextmanager
async def wait_ring(dsn: str) -> AsyncIterator[WaitRing]:
    sides = [Side(dsn, f"race-{number}") for number in range(SIDES)]
    monitor = await asyncpg.connect(dsn, server_settings=server_settings("race-monitor"))
    try:
        for side in sides:
            await side.open()
        with recorded() as told:
            yield WaitRing(sides, monitor, told)
    finally:
        for side in sides:
            await side.close()
        await monitor.close()
