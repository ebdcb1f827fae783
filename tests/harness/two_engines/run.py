"""One round: engines in processes, diamonds inserted while they work, all checked at the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from baton import insert_all
from support.waiting import eventually
from two_engines.checker import faults
from two_engines.diamonds import diamond
from two_engines.graphs import Expected
from two_engines.process import engine_process

BATCH = 50


@dataclass(frozen=True)
class Figures:
    """What a round came to; seconds from the first insertion to the last completion."""

    workflows: int
    seconds: float
    executions: int
    fenced: int
    told: tuple[int, ...]
    failed: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        rate = 4 * self.workflows / self.seconds
        text = (
            f"{self.workflows} workflows in {self.seconds:.1f} s ({rate:.0f} steps/s), "
            f"{self.executions} executions, {self.failed} failed workflows, "
            f"told {'+'.join(map(str, self.told))}, {self.fenced} stale, {len(self.faults)} faults"
        )
        return "\n    ".join((text, *self.faults[:20]))


@asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[list[str]]:
    """The ids of finished workflows, as they are notified."""
    notified: list[str] = []

    def receive(_: object, __: int, ___: str, payload: object) -> None:
        notified.extend(str(payload).split(","))

    connection = await asyncpg.connect(dsn)
    try:
        await connection.add_listener("baton.baton_finished", receive)
        yield notified
    finally:
        await connection.close()


async def insert(
    connection: asyncpg.Connection[Any], count: int, chance: random.Random, seconds: float = 0.004
) -> list[Expected]:
    """Insert diamonds, a batch at a time, so that engines meet them at any stage."""
    expected: list[Expected] = []
    while len(expected) < count:
        size = min(BATCH, count - len(expected))
        diamonds = [diamond(chance) for _ in range(size)]
        workflows = [d.workflow(seconds * chance.random()) for d in diamonds]
        await insert_all(workflows, conn=connection)
        pairs = zip(workflows, diamonds, strict=True)
        expected += [Expected(workflow.workflow_id, d) for workflow, d in pairs]
    return expected


async def finished(
    connection: asyncpg.Connection[Any], workflow_ids: Sequence[UUID], deadline: float
) -> None:
    """Wait until each of the workflows has the completion of its run."""

    async def all_finished() -> bool:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM baton.workflows w"
            " JOIN baton.workflow_completions c ON c.workflow_id = w.id AND c.run = w.run"
            " WHERE w.id = ANY ($1::uuid[])",
            workflow_ids,
        )
        return count >= len(workflow_ids)

    await eventually(all_finished, deadline)


async def heard(notified: Sequence[str], workflow_ids: Sequence[UUID]) -> None:
    """Wait for the notification of each workflow, which comes after its commit; of one that stands
    here more than once, for as many.
    """
    wanted = Counter(map(str, workflow_ids))

    async def all_heard() -> bool:
        return wanted <= Counter(notified)

    await eventually(all_heard)


async def one_round(dsn: str, workflows: int, seed: int, processes: int = 2) -> Figures:
    """Run a round on a database that has the ledger's tables."""
    chance = random.Random(seed)
    connection = await asyncpg.connect(dsn)
    try:
        async with AsyncExitStack() as stack:
            notified = await stack.enter_async_context(listening(dsn))
            running = [
                await stack.enter_async_context(
                    engine_process(dsn, queues={"default": 20}, stage_interval=0.1)
                )
                for _ in range(processes)
            ]
            began = monotonic()
            expected = await insert(connection, workflows, chance)
            ids = [one.workflow_id for one in expected]
            await finished(connection, ids, deadline=30 + workflows / 10)
            seconds = monotonic() - began
            await heard(notified, ids)
            reports = await asyncio.gather(*(process.stop() for process in running))
            found = await faults(connection, expected, notified)
        return Figures(
            workflows,
            seconds,
            await _executions(connection, ids),
            sum(report["fenced"] for report in reports),
            tuple(report["finished"] for report in reports),
            sum(_fails(one) for one in expected),
            tuple(map(str, found)),
        )
    finally:
        await connection.close()


async def _executions(connection: asyncpg.Connection[Any], ids: Sequence[UUID]) -> int:
    count: int = await connection.fetchval(
        "SELECT count(*) FROM public.ledger l JOIN baton.workflow_nodes n ON n.job_id = l.job_id"
        " WHERE l.mark = 'start' AND n.workflow_id = ANY ($1::uuid[])",
        ids,
    )
    return count


def _fails(one: Expected) -> bool:
    return any(not fate.states & {"completed", "skipped"} for fate in one.fates().values())
