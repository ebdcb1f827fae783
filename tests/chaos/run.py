"""One storm from its beginning to the checker's word."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import asyncpg

from baton import schema
from chaos.fleet import fleet
from chaos.load import Application, application
from chaos.storm import Storm
from support.databases import create_database
from support.restarting import restarting_server
from two_engines import truth
from two_engines.checker import faults
from two_engines.truth import FileLedger

# A server that was killed keeps what it committed; only a crash of the machine would not.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}
QUIET = 60.0

_FIGURES = """
SELECT
    (SELECT count(*) FROM public.workflow_nodes) AS steps,
    (SELECT count(*) FROM public.ledger WHERE mark = 'start') AS executions,
    (SELECT count(*) FROM public.oban_jobs j, jsonb_array_elements(to_jsonb(j.errors)) AS e
     WHERE e ->> 'rescued' = 'true') AS rescues,
    (SELECT count(*) FROM public.oban_jobs WHERE state = 'executing') AS executing,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'baton%') AS connections
"""


@dataclass(frozen=True)
class Report:
    """What a storm did, and what it came to."""

    seed: int
    seconds: float
    workflows: int
    steps: int
    executions: int
    cancelled: int
    kills: int
    stops: int
    terminations: int
    restarts: int
    processes: int
    rescues: int
    fenced: int
    quiet_after: float
    settled: int
    raised: dict[str, int]
    faults: list[str]

    def __str__(self) -> str:
        return json.dumps(asdict(self), indent=2)


async def storm(folder: Path, seed: int, seconds: float, engines: int, most_open: int) -> Report:
    """Run a storm on a server of its own; the ledger and the logs are kept in `folder`."""
    began = monotonic()
    chance = random.Random(seed)
    ledger = FileLedger(folder)
    with restarting_server(SETTINGS) as server:
        dsn = await create_database(server.dsn)
        await schema.migrate(dsn)
        await truth.create(dsn)
        async with (
            fleet(dsn, folder, engines, chance) as berths,
            application(dsn, random.Random(seed + 1), most_open) as app,
        ):
            for berth in berths:
                await berth.running()
            raging = Storm(server, berths, chance)
            working = asyncio.create_task(app.work())
            try:
                await raging.rage(seconds)
                app.enough = True
                # What it has begun to insert, it inserts.
                await working
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            calm = monotonic()
            left = await app.all_ended(QUIET + len(app.expected) / 20)
            quiet_after = monotonic() - calm
        await ledger.load(dsn)
        found = [f"nobody was told of the end of {workflow_id}" for workflow_id in left]
        found += [fault for berth in berths for fault in berth.faults]
        figures, wrong = await _checked(dsn, app)
        return Report(
            seed=seed,
            seconds=round(monotonic() - began, 1),
            workflows=len(app.expected),
            steps=figures["steps"],
            executions=figures["executions"],
            cancelled=sum(one.cancelled for one in app.expected.values()),
            kills=raging.done["kill"],
            stops=raging.done["stop"],
            terminations=raging.done["terminate"],
            restarts=raging.done["restart fast"] + raging.done["restart immediate"],
            processes=sum(berth.started for berth in berths),
            rescues=figures["rescues"],
            fenced=sum(berth.fenced for berth in berths),
            quiet_after=round(quiet_after, 1),
            settled=len(app.ended),
            raised=dict(app.raised),
            faults=[*found, *wrong],
        )


async def _checked(dsn: str, app: Application) -> tuple[asyncpg.Record, list[str]]:
    connection = await asyncpg.connect(dsn)
    try:
        wrong = await faults(connection, list(app.expected.values()), None, calm=False)
        figures = await connection.fetchrow(_FIGURES)
        assert figures is not None
        for what in ("executing", "connections"):
            if figures[what]:
                wrong.append(f"{figures[what]} {what} left")
        return figures, wrong
    finally:
        await connection.close()
