"""One storm from its beginning to the checker's word."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import asyncpg

from baton import schema
from chaos import refusals
from chaos.fleet import fleet
from chaos.load import ACTED_ON, Application, application
from chaos.storm import Storm
from chaos.verbs import verb_faults
from support.databases import create_database
from support.door import door
from support.full_queue import SMALL_QUEUE
from support.restarting import restarting_server
from support.waiting import eventually
from two_engines import truth
from two_engines.checker import faults
from two_engines.fault import Fault, Kind
from two_engines.truth import FileLedger

# A server that was killed keeps what it committed; only a crash of the machine would not.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    **SMALL_QUEUE,
}
QUIET = 60.0
REFUSED_FOR = 10.0
"""Seconds for which a write is refused, at most."""

_FIGURES = """
SELECT
    (SELECT count(*) FROM baton.workflow_nodes) AS steps,
    (SELECT count(*) FROM baton.workflow_wait_groups WHERE wait_step) AS gates,
    (SELECT count(*) FROM baton.workflow_wait_groups WHERE NOT wait_step) AS waits,
    (SELECT coalesce(json_object_agg(status, n), '{}')::text FROM (
        SELECT status, count(*) AS n FROM baton.workflow_wait_groups GROUP BY status
    ) ends) AS ends,
    (SELECT count(*) FROM baton.workflow_events) AS events,
    (SELECT count(*) FROM public.ledger WHERE mark = 'start') AS executions,
    (SELECT count(*) FROM public.told) AS told,
    (SELECT count(*) FROM baton.oban_jobs j, jsonb_array_elements(to_jsonb(j.errors)) AS e
     WHERE e ->> 'rescued' = 'true') AS rescues,
    (SELECT count(*) FROM baton.oban_jobs WHERE state = 'executing') AS executing,
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
    gates: int
    waits: int
    waits_by_end: dict[str, int]
    events: int
    answers: dict[str, int]
    executions: int
    told: int
    cancelled: int
    kills: int
    freezes: int
    terminations: int
    listener_terminations: int
    restarts_fast: int
    restarts_immediate: int
    notification_drops: int
    notifications_dropped: int
    blackholes: int
    blackholes_noticed: int
    notification_queues_filled: int
    processes: int
    rescues: int
    fenced: int
    quiet_after: float
    settled: int
    acted_on: int
    verbs: dict[str, int]
    verbs_refused: dict[str, int]
    guilty: int
    refusals: int
    named: int
    longest_delay: float
    raised: dict[str, int]
    faults_by_invariant: dict[str, int]
    faults: list[str]

    def __str__(self) -> str:
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True)
class Weather:
    """What a storm is made of. `refused` is the share of the jobs of which one write is refused for
    a while; a `calm` one has no other faults, and then no innocent step may be late.
    """

    refused: float = 0.0
    calm: bool = False


async def storm(
    folder: Path,
    seed: int,
    seconds: float,
    engines: int,
    most_open: int,
    weather: Weather = Weather(),
) -> Report:
    """Run a storm on a server of its own; the ledger and the logs are kept in `folder`."""
    began = monotonic()
    chance = random.Random(seed)
    with restarting_server(SETTINGS) as server:
        dsn = await create_database(server.dsn)
        await schema.migrate(dsn)
        await truth.create(dsn)
        await refusals.create(dsn, weather.refused, REFUSED_FOR)
        async with (
            door(dsn) as front,
            fleet(dsn, folder, engines) as berths,
            application(
                front,
                dsn,
                folder,
                random.Random(seed + 1),
                most_open,
                # What is paused is late, and nobody's fault.
                0.0 if weather.calm else ACTED_ON,
            ) as app,
        ):
            for berth in berths:
                await berth.running()
            doors = [front, *(berth.door for berth in berths)]
            raging = Storm(server, dsn, berths, doors, chance)
            working = asyncio.create_task(app.work())
            try:
                await raging.rage(seconds, calm=weather.calm)
                app.enough()
                # What it has begun to insert, it inserts.
                await working
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            calm = monotonic()
            left = await app.all_ended(QUIET + len(app.expected) / 20)
            await _handed_out(dsn)
            quiet_after = monotonic() - calm
        await FileLedger(folder).load(dsn)
        found = [Fault(Kind.UNSETTLED, f"nobody was told of the end of {i}") for i in left]
        found += [fault for berth in berths for fault in berth.faults]
        found += [Fault(Kind.PROCESSES, f"the application: {error}") for error in app.broken]
        found += [Fault(Kind.IDLE, f"{what} struck nothing") for what in raging.idle]
        figures, wrong = await _checked(dsn, app, calm=weather.calm)
        judged = await _judged(dsn, folder, weather)
        found += [*wrong, *judged.faults]
        counted = Counter(fault.kind for fault in found)
        done = raging.done
        return Report(
            seed=seed,
            seconds=round(monotonic() - began, 1),
            workflows=len(app.expected),
            steps=figures["steps"],
            gates=figures["gates"],
            waits=figures["waits"],
            waits_by_end=json.loads(figures["ends"]),
            events=figures["events"],
            answers=dict(app.answers),
            executions=figures["executions"],
            told=figures["told"],
            cancelled=sum(one.cancelled for one in app.expected.values()),
            kills=done["kill"],
            freezes=done["freeze"],
            terminations=done["terminate"],
            listener_terminations=done["terminate listeners"],
            restarts_fast=done["restart fast"],
            restarts_immediate=done["restart immediate"],
            notification_drops=done["drop notifications"],
            notifications_dropped=sum(one.swallowed for one in doors),
            blackholes=done["blackhole"],
            blackholes_noticed=sum(one.noticed for one in doors),
            notification_queues_filled=done["fill notifications"],
            processes=sum(berth.started for berth in berths),
            rescues=figures["rescues"],
            fenced=sum(berth.fenced for berth in berths),
            quiet_after=round(quiet_after, 1),
            settled=sum(bool(app.ended[i]) for i in app.expected),
            acted_on=len(app.touched),
            verbs=dict(app.people.done),
            verbs_refused=dict(app.people.refused),
            guilty=judged.guilty,
            refusals=judged.refusals,
            named=judged.named,
            longest_delay=judged.longest_delay,
            raised=dict(app.raised),
            faults_by_invariant={kind: counted[kind] for kind in Kind},
            faults=[str(fault) for fault in found],
        )


async def _handed_out(dsn: str) -> None:
    """Wait until all events that were sent by a key have been handed out."""
    connection = await asyncpg.connect(dsn)

    async def look() -> bool:
        query = "SELECT NOT EXISTS (SELECT FROM baton.workflow_events WHERE state = 'open')"
        return bool(await connection.fetchval(query))

    try:
        await eventually(look, QUIET)
    finally:
        await connection.close()


@dataclass(frozen=True)
class _Judged:
    guilty: int
    refusals: int
    named: int
    longest_delay: float
    faults: list[Fault]


async def _judged(dsn: str, folder: Path, weather: Weather) -> _Judged:
    """What the refusals did, and what they must not do."""
    connection = await asyncpg.connect(dsn)
    try:
        guilty = await refusals.guilty_workflows(connection)
        struck = await refusals.struck(connection)
        delay, late = await refusals.delays(connection)
        named, wrong = await refusals.log_faults(connection, folder)
        if weather.calm:
            wrong += late
        if weather.refused and not (guilty and struck and named):
            text = f"refusals: {len(guilty)} workflows, {struck} refused, {named} jobs named"
            wrong.append(Fault(Kind.IDLE, text))
        return _Judged(len(guilty), struck, named, round(delay, 2), wrong)
    finally:
        await connection.close()


async def _checked(dsn: str, app: Application, *, calm: bool) -> tuple[asyncpg.Record, list[Fault]]:
    connection = await asyncpg.connect(dsn)
    try:
        # What is refused may fail, and others that it does not touch must not.
        guilty = await refusals.guilty_workflows(connection)
        innocent = [one for one in app.expected.values() if one.workflow_id not in guilty]
        wrong = await faults(connection, innocent, None, calm=calm, all_told=False)
        wrong += await verb_faults(connection, app.touched - guilty)
        figures = await connection.fetchrow(_FIGURES)
        assert figures is not None
        for what in ("executing", "connections"):
            if figures[what]:
                wrong.append(Fault(Kind.UNSETTLED, f"{figures[what]} {what} left"))
        # Who is killed tells nobody, and what is cancelled or sent to the application tells.
        if not figures["told"]:
            wrong.append(Fault(Kind.MISSING, "no process told of the end of any workflow"))
        return figures, wrong
    finally:
        await connection.close()
