"""Where a scenario is played: a database, a door to it, and the truth about it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Unpack
from uuid import UUID

import asyncpg

from baton import Baton, Database, Engine, EngineSettings, Plugin, insert_all, schema
from baton.app import EngineOptions
from support.databases import create_database, drop_database
from support.inserting import Client
from support.proxy import Cut, Proxy, proxied
from support.running import fast
from support.waiting import eventually
from two_engines import truth
from two_engines.checker import faults
from two_engines.graphs import Expected, Graph
from two_engines.run import finished, heard, listening
from two_engines.truth import FileLedger

DEADLINE = 15.0

# No loop but those that a scenario is about comes between its round trips.
VICTIM: EngineOptions = {
    "stage_interval": 300.0,
    "rescue_interval": 300.0,
    "command_timeout": 1.0,
    "acquire_timeout": 1.0,
    "shutdown_grace": 0.0,
    "interrupt_grace": 0.1,
}
HEALTHY: EngineOptions = {
    "poll_interval": 0.1,
    "rescue_interval": 0.05,
    "rescue_after": 15.0,
    "shutdown_grace": 5.0,
}

ledger: ContextVar[FileLedger] = ContextVar("ledger")


class LedgerHere:
    """The ledger of the place that a step is performed in."""

    async def start(self, job_id: int, attempt: int, token: UUID) -> int:
        return await ledger.get().start(job_id, attempt, token)

    async def end(self, job_id: int, attempt: int, token: UUID, ending: str) -> None:
        await ledger.get().end(job_id, attempt, token, ending)

    async def tell(self, workflow_ids: Sequence[UUID]) -> None:
        await ledger.get().tell(workflow_ids)

    async def close(self) -> None:
        """Nothing is kept open."""


class Place:
    """Made by `place`. `again` does what a scenario does without an engine, and is called once more
    when the way was broken.
    """

    def __init__(
        self, dsn: str, proxy: Proxy, tables: asyncpg.Connection[Any], notified: list[str]
    ) -> None:
        self.dsn = dsn
        self.proxy = proxy
        self.tables = tables
        self.notified = notified
        self.plan: Cut | None = None
        self.expected: list[Expected] = []
        self.again: Callable[[str], Awaitable[None]] | None = None

    def arm(self) -> None:
        """From here on the way may break."""
        self.proxy.arm(self.plan)

    async def resume(self, engine: Engine) -> None:
        """Let an engine go on with its queue, and arm: what it did to start is over."""
        await self.proxy.quiet(0.03)
        self.arm()
        engine.resume("default")

    def engine(self, **options: Unpack[EngineOptions]) -> Engine:
        """An engine behind the door."""
        given: EngineOptions = {**VICTIM, **options}
        return fast(self.proxy.dsn, **given)

    @asynccontextmanager
    async def client(self, dsn: str) -> AsyncIterator[Engine]:
        """An engine without queues, and without a listener."""
        given: EngineOptions = {**VICTIM, "queues": {}, "notify": False}
        async with fast(dsn, **given) as engine:
            yield engine

    def expect(self, graph: Graph, cancelled: bool = False, *, seconds: float = 0.0) -> Baton:
        """A workflow of this shape, which will be checked at the end."""
        workflow = graph.workflow(seconds)
        self.expected.append(Expected(workflow.workflow_id, graph, cancelled))
        return workflow

    async def insert(self, *workflows: Baton) -> None:
        """Insert past the door."""
        client = Client(Database(self.dsn), EngineSettings())
        await insert_all(workflows, client, conn=self.tables)

    async def finished(self) -> None:
        """Wait until all that is expected has ended."""
        await finished(self.tables, [one.workflow_id for one in self.expected], DEADLINE)

    async def begun(self, count: int) -> None:
        """Wait until so many jobs run, or have run."""
        query = "SELECT count(*) >= $1 FROM public.oban_jobs WHERE attempt > 0"

        async def look() -> bool:
            return bool(await self.tables.fetchval(query, count))

        await eventually(look, DEADLINE)

    async def steady(self) -> None:
        """An hour passes: who was silent is dead, and who beats now has been steady."""
        await self.tables.execute(
            "UPDATE public.baton_engines SET steady_since = steady_since - interval '1 hour'"
        )

    async def finish(self) -> None:
        """What a second, healthy engine and one sweep make of it."""
        if self.again is not None:
            await self.again(self.dsn)
        await self.tables.execute(
            "UPDATE public.baton_engines SET seen_at = seen_at - interval '1 hour'"
        )
        async with fast(self.dsn, **HEALTHY) as healthy:
            await self.steady()
            await Plugin().sweep(healthy.database)
            await self.finished()

    async def faults(self) -> list[str]:
        """All that is not as it has to be."""
        await heard(self.notified, [one.workflow_id for one in self.expected])
        await ledger.get().load(self.dsn)
        found = await faults(self.tables, self.expected, self.notified, calm=False)
        query = "SELECT count(*) FROM public.oban_jobs WHERE state = 'executing'"
        if count := await self.tables.fetchval(query):
            found.append(f"{count} jobs are executing")
        return found


@asynccontextmanager
async def place(dsn: str) -> AsyncIterator[Place]:
    """A place on a database of its own, as empty as if it were new."""
    async with AsyncExitStack() as stack:
        tables = await asyncpg.connect(dsn)
        stack.push_async_callback(tables.close)
        names = await tables.fetchval(
            "SELECT string_agg(format('public.%I', tablename), ', ') FROM pg_catalog.pg_tables"
            " WHERE schemaname = 'public' AND tablename NOT LIKE '%migrations%'"
        )
        await tables.execute(f"TRUNCATE {names} RESTART IDENTITY")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-"))
        ledger.set(FileLedger(Path(folder)))
        proxy = await stack.enter_async_context(proxied(dsn))
        notified = await stack.enter_async_context(listening(dsn))
        yield Place(dsn, proxy, tables, notified)


async def create_places(server: str, count: int) -> list[str]:
    """Databases that places can be opened on."""
    made = [await create_database(server) for _ in range(count)]
    for dsn in made:
        await schema.migrate(dsn)
        await truth.create(dsn)
    return made


async def drop_places(server: str, dsns: Sequence[str]) -> None:
    for dsn in dsns:
        await drop_database(server, dsn)
