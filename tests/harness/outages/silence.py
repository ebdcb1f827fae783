"""What is asked to end while its database is silent, and how long that takes."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

from baton import Baton, Database, Engine, Plugin, insert_all, schema
from outages.serving import GRACE, INTERRUPT_GRACE, busy, made_patient, make_patient, slow
from outages.stops import SOME_SECONDS, finished_by_another, worker_process
from support.databases import create_database, drop_database
from support.proxy import Proxy, proxied
from support.restarting import RestartingServer
from support.running import Tables, opened
from support.waiting import eventually

LIMIT = GRACE + INTERRUPT_GRACE + SOME_SECONDS
STARTING = 90.0
LATEST = 1.0
SILENCE_SETTINGS = {"fsync": "off", "max_connections": "600"}


class Silence(StrEnum):
    """Why the database does not answer."""

    FROZEN = "server frozen"
    SWALLOWED = "network swallows everything"
    DOWN = "database down"


class Ending(StrEnum):
    """What is asked to end, and how."""

    STOP = "engine.stop()"
    CANCELLED = "engine.run() cancelled"
    PLUGIN = "Plugin.run() cancelled"
    WORKER = "baton worker, SIGTERM"


@dataclass
class Ends:
    """How those that were asked to end did so."""

    silence: Silence
    ending: Ending
    asked: int
    ended: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list[str])


Asked = Callable[[], Awaitable[None]]
"""Asks one to end, and returns when it has."""


async def end_in_silence(
    server: RestartingServer,
    silence: Silence,
    endings: Iterable[Ending],
    count: int,
    chance: random.Random,
) -> list[Ends]:
    """Ask `count` of each kind to end, at moments of chance after the database has fallen silent in
    the middle of their work. Then another engine does what is left.
    """
    every = [Ends(silence, ending, count) for ending in endings]
    dsn = await create_database(server.dsn)
    await schema.migrate(dsn)
    workflows = [
        Baton().add("a", slow.new()).add("b", slow.new(), deps=["a"]).add("c", busy.new())
        for _ in range(count * len(every) * 3)
    ]
    async with Engine(dsn) as client:
        await insert_all(workflows, engine=client)
    async with proxied(dsn) as proxy, AsyncExitStack() as started:
        asked = [
            (ends, await started.enter_async_context(_STARTS[ends.ending](proxy.dsn)))
            for ends in every
            for _ in range(count)
        ]
        async with opened(dsn) as tables:
            await _working(tables, every)
        async with _silent(server, proxy, silence):
            tasks = [asyncio.create_task(_timed(*one, chance)) for one in asked]
            _, late = await asyncio.wait(tasks, timeout=LATEST + LIMIT)
        if late:
            await asyncio.wait(late, timeout=LIMIT)
    for ends in every:
        if ends.ended < count or ends.slowest > LIMIT:
            ends.faults.append(f"not all ended within {LIMIT} s")
    async with opened(dsn) as tables:
        await finished_by_another(every[0].faults, tables, dsn, workflows)
    await drop_database(server.dsn, dsn)
    return every


async def _timed(ends: Ends, ask: Asked, chance: random.Random) -> None:
    # The moment is what is tried.
    await asyncio.sleep(chance.uniform(0.0, LATEST))
    begun = monotonic()
    await ask()
    took = monotonic() - begun
    ends.ended += took <= LIMIT
    ends.slowest = round(max(ends.slowest, took), 2)


async def _working(tables: Tables, every: Sequence[Ends]) -> None:
    """Until all beat, and some have completed steps."""

    async def look() -> bool:
        found = await tables.value("SELECT count(*) FROM baton.baton_engines")
        completed = await tables.value(
            "SELECT count(*) FROM baton.oban_jobs WHERE state = 'completed'"
        )
        performs = any(ends.ending is not Ending.PLUGIN for ends in every)
        return found >= sum(ends.asked for ends in every) and (completed > 0 or not performs)

    await eventually(look, STARTING)


@asynccontextmanager
async def _engine_stopped(dsn: str) -> AsyncIterator[Asked]:
    engine = made_patient(dsn)
    await engine.__aenter__()
    stopping: list[asyncio.Task[None]] = []

    async def ask() -> None:
        stopping.append(asyncio.create_task(engine.stop()))
        await asyncio.shield(stopping[0])

    yield ask


@asynccontextmanager
async def _run_cancelled(dsn: str) -> AsyncIterator[Asked]:
    engine = made_patient(dsn)
    yield _cancelled(asyncio.create_task(engine.run()))


@asynccontextmanager
async def _plugin_cancelled(dsn: str) -> AsyncIterator[Asked]:
    async with AsyncExitStack() as own:
        database = Database(dsn, pool_size=3)
        await database.open()
        own.push_async_callback(database.close)
        yield _cancelled(asyncio.create_task(Plugin(interval=0.05).run(database)))


def _cancelled(task: asyncio.Task[None]) -> Asked:
    async def ask() -> None:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task

    return ask


@asynccontextmanager
async def _process_signalled(dsn: str) -> AsyncIterator[Asked]:
    async with worker_process(dsn, make_patient) as process:

        async def ask() -> None:
            process.send_signal(signal.SIGTERM)
            await process.wait()

        yield ask


_STARTS = {
    Ending.STOP: _engine_stopped,
    Ending.CANCELLED: _run_cancelled,
    Ending.PLUGIN: _plugin_cancelled,
    Ending.WORKER: _process_signalled,
}


@asynccontextmanager
async def _silent(server: RestartingServer, proxy: Proxy, silence: Silence) -> AsyncIterator[None]:
    match silence:
        case Silence.FROZEN:
            with server.frozen():
                yield
        case Silence.SWALLOWED:
            proxy.swallowing = True
            try:
                yield
            finally:
                # What was swallowed on a line leaves it out of step for good.
                proxy.drop_lines()
                proxy.swallowing = False
        case Silence.DOWN:
            await server.crash()
            try:
                yield
            finally:
                await server.start()
