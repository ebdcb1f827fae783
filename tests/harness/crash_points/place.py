"""Where a scenario is played: a database, a door to it, and the truth about it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Unpack
from uuid import UUID, uuid4

import asyncpg

from baton import Baton, EngineSettings, Plugin, insert_all, schema, send_event
from baton.engine import EngineOptions
from baton.errors import WorkflowFinishedError
from baton.store.store import Store
from crash_points.actor import Actor, Apart, here
from support.databases import create_database, drop_database
from support.inserting import Client
from support.proxy import Cut, Proxy, Way, proxied
from support.running import fast
from support.waiting import eventually
from two_engines import truth
from two_engines.checker import faults
from two_engines.fault import Fault, Kind
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

    async def left(self, job_id: int, attempt: int, token: UUID, error: str) -> None:
        await ledger.get().left(job_id, attempt, token, error)

    async def resumed(self, job_id: int, key: str, token: UUID, outcome: object) -> None:
        await ledger.get().resumed(job_id, key, token, outcome)

    async def tell(self, workflow_ids: Sequence[UUID]) -> None:
        await ledger.get().tell(workflow_ids)

    async def close(self) -> None:
        """Nothing is kept open."""


class Place:
    """Made by `place`. `again` does what a scenario does without an engine, and is called once more
    when the way was broken.
    """

    def __init__(
        self,
        dsn: str,
        proxy: Proxy,
        tables: asyncpg.Connection[Any],
        notified: list[str],
        apart: Apart,
    ) -> None:
        self.dsn = dsn
        self.proxy = proxy
        self.tables = tables
        self.notified = notified
        self.plan: Cut | None = None
        self.expected: list[Expected] = []
        self.loose: list[int] = []
        """Jobs outside workflows, which have to be performed as well."""
        self.judges: list[Callable[[], Awaitable[list[str]]]] = []
        """What else may be wrong at the end."""
        self.again: Callable[[str], Awaitable[None]] | None = None
        self._apart = apart

    def arm(self) -> None:
        """From here on the way may break."""
        self.proxy.arm(self.plan)

    async def resume(self, actor: Actor) -> None:
        """Let an engine go on with its queue, and arm: what it did to start is over."""
        await self.proxy.quiet(0.03)
        self.arm()
        await actor.resume("default")

    @asynccontextmanager
    async def engine(self, **options: Unpack[EngineOptions]) -> AsyncIterator[Actor]:
        """An engine behind the door, in a process of its own where that is to be killed."""
        given: EngineOptions = {**VICTIM, **options}
        if self.plan is not None and self.plan.way is Way.KILL:
            async with self._apart.act(self.proxy.dsn, **given) as actor:
                yield actor
        else:
            async with here(self.proxy.dsn, **given) as actor:
                yield actor

    @asynccontextmanager
    async def client(self, dsn: str, *, notify: bool = False) -> AsyncIterator[Actor]:
        """An engine without queues, and unless it shall `notify` without a listener."""
        given: EngineOptions = {**VICTIM, "queues": {}, "notify": notify}
        if dsn == self.proxy.dsn:
            async with self.engine(**given) as actor:
                await self.proxy.quiet(0.03)
                yield actor
        else:
            async with here(dsn, **given) as actor:
                yield actor

    async def send(self, workflow_id: UUID | None, name: str, *, key: str | None = None) -> None:
        """Send an event past the door; as often as wanted, it counts once."""
        event_id = f"{workflow_id or key} {name}"
        try:
            answer = await send_event(
                workflow_id,
                name,
                {"id": event_id},
                correlation_key=key,
                dedupe_id=event_id,
                conn=self.tables,
                engine=Client(Store(self.dsn), EngineSettings()),
            )
        except WorkflowFinishedError:
            return
        self.sent(event_id, workflow_id, key, name, answer)

    def sent(
        self, event_id: str, workflow_id: UUID | None, key: str | None, name: str, answer: str
    ) -> None:
        ledger.get().sent(event_id, workflow_id, key, name, answer)

    def expect(
        self,
        graph: Graph,
        cancelled: bool = False,
        *,
        seconds: float = 0.0,
        runs: int = 1,
        again: str = "",
    ) -> Baton:
        """A workflow of this shape, which will be checked at the end."""
        workflow = graph.workflow(seconds)
        one = Expected(workflow.workflow_id, graph, cancelled, runs, frozenset(again))
        self.expected.append(one)
        return workflow

    async def orphan(self, engine: UUID | None = None) -> None:
        """What is available was claimed by an engine that is dead."""
        await self.tables.execute(
            "UPDATE baton.oban_jobs SET state = 'executing', attempt = 1,"
            " attempted_at = timezone('UTC', now()), attempted_by = $1 WHERE state = 'available'",
            ["elsewhere", str(engine or uuid4()), "baton"],
        )

    def forget(self) -> None:
        """What was performed until now is not judged."""
        ledger.get().forget()

    async def insert(self, *workflows: Baton) -> None:
        """Insert past the door."""
        client = Client(Store(self.dsn), EngineSettings())
        await insert_all(workflows, engine=client, conn=self.tables)

    async def finished(self) -> None:
        """Wait until all that is expected has ended."""
        await finished(self.tables, [one.workflow_id for one in self.expected], DEADLINE)
        query = (
            "SELECT count(*) = $2 FROM baton.oban_jobs"
            " WHERE id = ANY ($1::bigint[]) AND state = 'completed'"
        )

        async def look() -> bool:
            return bool(await self.tables.fetchval(query, self.loose, len(self.loose)))

        await eventually(look, DEADLINE)

    async def performing(self, workflow_id: UUID, step: str) -> None:
        """Wait until the body of a step has started."""
        job_id = await self.tables.fetchval(
            "SELECT job_id FROM baton.workflow_nodes WHERE workflow_id = $1 AND name = $2",
            workflow_id,
            step,
        )

        async def look() -> bool:
            return ledger.get().has_begun(job_id)

        await eventually(look, DEADLINE)

    async def begun(self, count: int) -> None:
        """Wait until so many jobs run, or have run."""
        query = "SELECT count(*) >= $1 FROM baton.oban_jobs WHERE attempt > 0"

        async def look() -> bool:
            return bool(await self.tables.fetchval(query, count))

        await eventually(look, DEADLINE)

    async def waiting(self, count: int) -> None:
        """Wait until so many waits are pending."""
        query = "SELECT count(*) = $1 FROM baton.workflow_wait_groups WHERE status = 'pending'"

        async def look() -> bool:
            return bool(await self.tables.fetchval(query, count))

        await eventually(look, DEADLINE)

    async def armed(self, workflow_id: UUID, key: str) -> None:
        """Wait until this wait of a step has been armed."""
        query = (
            "SELECT count(*) FROM baton.workflow_wait_groups"
            " WHERE workflow_id = $1 AND replay_key = $2"
        )

        async def look() -> bool:
            return bool(await self.tables.fetchval(query, workflow_id, key))

        await eventually(look, DEADLINE)

    async def time_passes(self) -> None:
        """The time of all that waits with a deadline is over, and that of open events has come."""
        await self.tables.execute(
            "UPDATE baton.workflow_wait_groups SET armed_at = armed_at - interval '1 hour',"
            " deadline = deadline - interval '1 hour', wake_at = wake_at - interval '1 hour'"
            " WHERE status = 'pending' AND deadline IS NOT NULL"
        )
        await self.tables.execute(
            "UPDATE baton.workflow_events SET wake_at = now() WHERE state = 'open'"
        )

    async def steady(self) -> None:
        """An hour passes: who was silent is dead, and who beats now has been steady."""
        await self.tables.execute(
            "UPDATE baton.baton_engines SET steady_since = steady_since - interval '1 hour'"
        )

    async def finish(self) -> None:
        """What a second, healthy engine and one sweep make of it."""
        if self.again is not None:
            await self.again(self.dsn)
        await self.tables.execute(
            "UPDATE baton.baton_engines SET seen_at = least(seen_at, now()) - interval '1 hour'"
        )
        await self.time_passes()
        async with fast(self.dsn, **HEALTHY) as healthy:
            await self.steady()
            await Plugin().sweep(healthy.database)
            await self.finished()

    async def faults(self) -> list[Fault]:
        """All that is not as it has to be."""
        runs = [one.workflow_id for one in self.expected for _ in range(one.runs)]
        await heard(self.notified, runs)
        await ledger.get().load(self.dsn)
        found = await faults(self.tables, self.expected, self.notified, calm=False)
        query = "SELECT count(*) FROM baton.oban_jobs WHERE state = 'executing'"
        if count := await self.tables.fetchval(query):
            found.append(Fault(Kind.UNSETTLED, f"{count} jobs are executing"))
        for job_id in self.loose:
            query = "SELECT count(*) FROM public.ledger WHERE job_id = $1 AND mark = 'end'"
            if not await self.tables.fetchval(query, job_id):
                found.append(Fault(Kind.LOST, f"job {job_id} completed and was never performed"))
        for judge in self.judges:
            found += [Fault(Kind.WRONG, text) for text in await judge()]
        return found


@asynccontextmanager
async def place(dsn: str) -> AsyncIterator[Place]:
    """A place on a database of its own, as empty as if it were new."""
    async with AsyncExitStack() as stack:
        tables = await asyncpg.connect(dsn)
        stack.push_async_callback(tables.close)
        names = await tables.fetchval(
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ')"
            " FROM pg_catalog.pg_tables WHERE schemaname IN ('baton', 'public')"
            " AND tablename NOT LIKE '%migrations%'"
        )
        await tables.execute(f"TRUNCATE {names} RESTART IDENTITY")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-"))
        ledger.set(FileLedger(Path(folder)))
        proxy = await stack.enter_async_context(proxied(dsn))
        notified = await stack.enter_async_context(listening(dsn))
        apart = Apart(Path(folder))
        proxy.kill = apart.kill
        yield Place(dsn, proxy, tables, notified, apart)


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
