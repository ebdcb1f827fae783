"""A soak from its beginning to the verdict."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from baton import Engine
from soak.load import Application
from soak.process import AGE, SWEEPS, Served, serving
from soak.sampling import autovacuum, percentiles, sample
from soak.verdict import BOUNDS, Bound, growth, medians
from support.invariants import violations


@dataclass(frozen=True)
class Report:
    """What a soak did, what it measured by quarter, and what is wrong."""

    seconds: float
    rate: float
    engines: int
    samples: int
    workflows: dict[str, int]
    announced: int
    pruned: int
    engine_cpu: float
    application_cpu: float
    autovacuum: dict[str, str]
    bounds: dict[str, Bound]
    quarters: dict[str, list[float | None]]
    left: dict[str, int]
    faults: list[str]

    def __str__(self) -> str:
        facts = asdict(self)
        facts["quarters"] = {name: json.dumps(row) for name, row in self.quarters.items()}
        return json.dumps(facts, indent=2)


@dataclass
class Watch:
    """What the engines told, together with what the database shows."""

    app: Application
    engines: list[Served]
    connection: asyncpg.Connection[Any]
    every: float
    samples: list[dict[str, float]]
    pruned: int = 0

    async def watch(self, enough: asyncio.Event) -> None:
        """Look until it is enough; never cut off, or an answer would be taken for the next one."""
        due = monotonic() + self.every
        while not enough.is_set():
            try:
                async with asyncio.timeout(max(due - monotonic(), 0.0)):
                    await enough.wait()
            except TimeoutError:
                due += self.every
                await self.look()

    async def look(self) -> None:
        told = [await engine.ask() for engine in self.engines]
        found = await sample(self.connection, self.every)
        for one in told:
            self.hear(one["finished"], one["pruned"])
        found["rss"] = float(max(one["rss"] for one in told))
        found["tasks"] = float(max(one["tasks"] for one in told))
        # What others do on this machine explains a latency.
        found["machine load"] = os.getloadavg()[0]
        taken, self.app.latencies = self.app.latencies, []
        self.samples.append(found | percentiles("latency", taken))

    def hear(self, finished: list[str], pruned: int) -> None:
        self.app.announced.update(map(UUID, finished))
        self.pruned += pruned


async def soak(
    dsn: str,
    *,
    seconds: float,
    rate: float,
    engines: int = 1,
    every: float = 10.0,
    age: float = AGE,
    sweeps: float = SWEEPS,
    seed: int = 1,
    judged: bool = True,
) -> Report:
    """Run `rate` workflows a second for so long. Not `judged`, growth is measured only."""
    began, cpu = monotonic(), time.process_time()
    async with AsyncExitStack() as stack:
        connection, inserting = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        stack.push_async_callback(inserting.close)
        served = [
            await stack.enter_async_context(serving(dsn, age, sweeps)) for _ in range(engines)
        ]
        client = await stack.enter_async_context(Engine(dsn))
        app = Application(client, inserting, seed)
        watch = Watch(app, served, connection, every, [])
        enough = asyncio.Event()
        watching = asyncio.create_task(watch.watch(enough))
        try:
            await app.work(rate, seconds)
        finally:
            enough.set()
            await watching
        await app.all_ended()
        await watch.look()
        used = time.process_time() - cpu
        last = [await engine.stop() for engine in served]
        for one in last:
            watch.hear(one["finished"], one["pruned"])
        took = monotonic() - began
        left = await _left(connection)
        faults = [*app.faults[:20], *_announced(app), *await violations(connection)]
        if left["executing"]:
            faults.append(f"{left['executing']} jobs are executing")
        if judged:
            # Pools fill as they are used. Beside an engine's are settlers, heartbeat, listener and
            # sweep; beside the application's a listener.
            own = client.settings.pool_size + client.settings.settlers + 3
            most = engines * own + client.settings.pool_size + 1
            faults += growth(watch.samples, {"connections": most})
        return Report(
            seconds=round(took, 1),
            rate=rate,
            engines=engines,
            samples=len(watch.samples),
            workflows=dict(app.inserted),
            announced=len(app.announced),
            pruned=watch.pruned,
            engine_cpu=round(sum(one["cpu"] for one in last) / took, 3),
            application_cpu=round(used / took, 3),
            autovacuum=await autovacuum(connection),
            bounds=dict(BOUNDS),
            quarters=_rounded(medians(watch.samples)),
            left=left,
            faults=faults,
        )


def _rounded(quarters: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {
        name: [None if value is None else round(value, 5) for value in row]
        for name, row in quarters.items()
    }


def _announced(app: Application) -> list[str]:
    wrong = Counter(app.announced[workflow_id] for workflow_id in app.ids)
    wrong.pop(1, None)
    unknown = app.announced.keys() - app.tried
    found = [f"{count} workflows were announced {times} times" for times, count in wrong.items()]
    return found + ([f"{len(unknown)} unknown workflows were announced"] if unknown else [])


async def _left(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    (row,) = await connection.fetch(
        "SELECT (SELECT count(*) FROM baton.oban_jobs) AS jobs,"
        " (SELECT count(*) FROM baton.oban_jobs WHERE state = 'executing') AS executing,"
        " (SELECT count(*) FROM baton.workflows) AS workflows,"
        " (SELECT count(*) FROM baton.workflow_events) AS events,"
        " (SELECT count(*) FROM baton.workflow_step_stats) AS usage"
    )
    return dict(row)
