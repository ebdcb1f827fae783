"""One storm over transfers, and what is counted afterwards."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from baton import Baton, Engine, insert_all, schema
from baton.errors import BatonError, StepSettledError, UnavailableError, WorkflowFinishedError
from chaos.fleet import fleet
from chaos.run import SETTINGS
from chaos.storm import Storm
from support.databases import create_database
from support.invariants import violations
from support.restarting import restarting_server
from support.running import fast
from support.waiting import eventually, moment
from two_engines.workers import transfer

PER_WORKFLOW = 10
START = 1_000
"""What every account has in the beginning."""
STORM = 15.0
"""Seconds; another one follows until all has ended."""
ACTED_ON = 0.04
"""The share of workflows that somebody does something to, by each verb."""
REST = 120.0

_TABLES = """
CREATE TABLE public.accounts (id integer PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE public.transfers (
    job_id bigint NOT NULL,
    source integer NOT NULL,
    target integer NOT NULL,
    amount integer NOT NULL
);
CREATE INDEX ON public.transfers (job_id);
"""
_OPEN = "SELECT count(*) FROM baton.workflows WHERE finished_at IS NULL"
_STEPS = """
SELECT
    count(*) FILTER (WHERE own) AS completed,
    count(*) FILTER (WHERE state = 'completed' AND NOT own) AS by_hand,
    count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE state = 'discarded' OR state IS NULL) AS lost,
    count(*) FILTER (WHERE own AND rows > 1) AS twice,
    count(*) FILTER (WHERE own AND rows = 0) AS missing,
    count(*) FILTER (WHERE NOT own AND rows > 0) AS stray
FROM (
    SELECT n.state::text,
        (SELECT count(*) FROM public.transfers t WHERE t.job_id = n.job_id) AS rows,
        (n.state = 'completed' AND n.result -> 'value' ? 'job_id') IS TRUE AS own
    FROM baton.workflow_nodes n
) steps
"""
_UNBALANCED = """
SELECT count(*) FROM public.accounts a WHERE a.balance <> $1
    + coalesce((SELECT sum(amount) FROM public.transfers WHERE target = a.id), 0)
    - coalesce((SELECT sum(amount) FROM public.transfers WHERE source = a.id), 0)
"""
_TRIES = """
SELECT coalesce(sum(attempt), 0)::integer AS attempts,
    (SELECT count(*) FROM baton.oban_jobs WHERE errors::text LIKE '%rescued%') AS rescued,
    (SELECT count(*) FROM baton.oban_jobs WHERE errors::text <> '{}' AND errors::text <> '[]')
        AS with_errors
FROM baton.oban_jobs
"""


@dataclass(frozen=True)
class Report:
    """What a storm did, and what it came to."""

    seed: int
    seconds: float
    transfers: int
    completed: int
    by_hand: int
    cancelled: int
    lost: int
    twice: int
    missing: int
    stray: int
    unbalanced: int
    sum: int
    announced: int
    attempts: int
    rescued: int
    with_errors: int
    fenced: int
    processes: int
    done: dict[str, int]
    verbs: dict[str, int]
    faults: list[str]

    def __str__(self) -> str:
        return json.dumps(asdict(self), indent=2)


async def storm(
    folder: Path,
    seed: int,
    transfers: int,
    accounts: int,
    engines: int,
    *,
    naive: bool = False,
    length: float = STORM,
) -> Report:
    """Play so many transfers on a server of its own, in storms of this `length` in seconds."""
    began = monotonic()
    chance = random.Random(seed)
    with restarting_server(SETTINGS) as server:
        dsn = await create_database(server.dsn)
        await schema.migrate(dsn)
        async with _tables(dsn) as tables:
            await tables.execute(_TABLES)
            await tables.execute(
                "INSERT INTO public.accounts SELECT i, $1 FROM generate_series(1, $2) i",
                START,
                accounts,
            )
        made = [_workflow(chance, accounts, naive) for _ in range(transfers // PER_WORKFLOW)]
        async with fast(dsn, name="application", queues={}) as application:
            for start in range(0, len(made), 100):
                await insert_all(made[start : start + 100], engine=application)
        verbs: Counter[str] = Counter()
        async with fleet(dsn, folder, engines) as berths:
            for berth in berths:
                await berth.running()
            raging = Storm(server, dsn, berths, [berth.door for berth in berths], chance)
            acting = asyncio.create_task(_act(dsn, made, random.Random(seed + 1), verbs))
            try:
                while await _open(dsn):
                    await raging.rage(length)
            finally:
                acting.cancel()
                await asyncio.gather(acting, return_exceptions=True)
            for berth in berths:
                await berth.running()

            async def all_ended() -> bool:
                return await _open(dsn) == 0

            await eventually(all_ended, REST)
        figures = await _figures(dsn)
        faults = figures.pop("violations")
        faults += [str(fault) for berth in berths for fault in berth.faults]
        for what in ("lost", "twice", "missing", "stray", "unbalanced"):
            faults += [f"{figures[what]} {what}"] if figures[what] else []
        if figures["sum"] != START * accounts:
            faults.append(f"the sum is {figures['sum']}, not {START * accounts}")
        if figures["announced"] != len(made):
            faults.append(f"{figures['announced']} ends of {len(made)} workflows")
        return Report(
            seed=seed,
            seconds=round(monotonic() - began, 1),
            transfers=transfers,
            fenced=sum(berth.fenced for berth in berths),
            processes=sum(berth.started for berth in berths),
            done=dict(raging.done),
            verbs=dict(verbs),
            faults=faults,
            **figures,
        )


def _workflow(chance: random.Random, accounts: int, naive: bool) -> Baton:
    """Two transfers at a time, one pair after the other."""
    workflow = Baton(workflow_name="transfers")
    before: list[str] = []
    for number in range(0, PER_WORKFLOW, 2):
        names = [f"t{number}", f"t{number + 1}"]
        for name in names:
            source, target = chance.sample(range(1, accounts + 1), 2)
            job = transfer.new(
                source=source, target=target, amount=chance.randint(1, 100), naive=naive
            )
            workflow.add(name, job, deps=before, ignore_cancelled=True)
        before = names
    return workflow


async def _act(dsn: str, made: Sequence[Baton], chance: random.Random, verbs: Counter[str]) -> None:
    """What people do meanwhile: each verb to some workflows, whatever runs there."""
    chosen = [
        (workflow, verb)
        for workflow in made
        for verb in ("cancel", "cancel_step", "complete_step", "pause")
        if chance.random() < ACTED_ON
    ]
    chance.shuffle(chosen)
    async with fast(dsn, name="people", queues={}) as engine:
        for workflow, verb in chosen:
            # What the storm has taken away is asked for again.
            while not await _acted(engine, workflow.workflow_id, verb, chance, verbs):
                await moment(asyncio.get_running_loop().time() + 0.1)


async def _acted(
    engine: Engine, workflow_id: UUID, verb: str, chance: random.Random, verbs: Counter[str]
) -> bool:
    handle = engine.workflow(workflow_id)
    name = f"t{chance.randrange(PER_WORKFLOW)}"
    try:
        match verb:
            case "cancel":
                await handle.cancel("by request")
            case "cancel_step":
                await handle.cancel_step(name)
            case "complete_step":
                await handle.complete_step(name, "by hand")
            case _:
                with suppress(WorkflowFinishedError):
                    await handle.pause()
                await handle.resume()
    except UnavailableError:
        return False
    except (StepSettledError, WorkflowFinishedError):
        verbs[f"{verb}, too late"] += 1
    else:
        verbs[verb] += 1
    return True


async def _open(dsn: str) -> int:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, BatonError):
        async with _tables(dsn) as tables:
            found: int = await tables.fetchval(_OPEN)
            return found
    return -1


async def _figures(dsn: str) -> dict[str, Any]:
    async with _tables(dsn) as tables:
        steps, tries = await tables.fetchrow(_STEPS), await tables.fetchrow(_TRIES)
        assert steps is not None
        assert tries is not None
        return {
            **dict(steps),
            **dict(tries),
            "unbalanced": await tables.fetchval(_UNBALANCED, START),
            "sum": await tables.fetchval("SELECT sum(balance)::bigint FROM public.accounts"),
            "announced": await tables.fetchval("SELECT count(*) FROM baton.workflow_completions"),
            "violations": await violations(tables),
        }


@asynccontextmanager
async def _tables(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn, timeout=10.0)
    try:
        yield connection
    finally:
        connection.terminate()
