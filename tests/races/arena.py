"""A database, two sides that race on it, and somebody who watches.

Races are run in two ways. In a fixed order: the first side stops right before its commit, the
second runs until Postgres shows that it waits for a lock (or ends), then the first commits. And in
rounds: both start at once, often.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID, uuid4

import asyncpg

from baton import Baton, Step, insert_all, worker
from baton.store.jobs import Claimant, Settled, settle_and_claim
from baton.store.session import server_settings
from baton.store.store import Store
from baton.words.rows import ClaimedJob, Demand, Job, Outcome
from baton.words.states import JobState
from support.invariants import violations

A = TypeVar("A")
B = TypeVar("B")

DEADLINE = 20.0
ROUNDS = int(os.environ.get("BATON_RACE_ROUNDS", "100"))
"""How often what people do to a workflow races, in each test."""


@worker(name="races.noop")
async def noop(step: Step) -> None:
    """Never performed: the tests settle by hand."""


class Side(Store):
    """A database that does not try again: a deadlock is to be seen."""

    def __init__(self, dsn: str, name: str, *, idle_timeout: float = DEADLINE) -> None:
        super().__init__(
            dsn,
            application_name=name,
            pool_size=1,
            idle_timeout=idle_timeout,
            lock_timeout=DEADLINE,
        )

    async def retrying(
        self,
        body: Callable[[], Awaitable[A]],
        *,
        idempotent: bool = False,
        when_locked: bool = True,
    ) -> A:
        return await body()


class HeldSide(Side):
    """Its transactions stop right before their commit until they are let go."""

    def __init__(self, dsn: str, name: str, *, idle_timeout: float = DEADLINE) -> None:
        super().__init__(dsn, name, idle_timeout=idle_timeout)
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def arm(self) -> None:
        self.reached.clear()
        self._released.clear()

    def let_go(self) -> None:
        self._released.set()

    async def hold(self) -> None:
        """Stop here until it is let go."""
        self.reached.set()
        await self._released.wait()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        async with super().transaction() as connection:
            yield connection
            await self.hold()

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        async with self.transaction() as connection:
            return await connection.fetch(self.sql(query), *args)


class Ordered(NamedTuple, Generic[A, B]):
    """What both sides returned, and whether the second had to wait for the first."""

    first: A
    second: B
    waited: bool


class Facts(NamedTuple):
    """A step as the tables have it."""

    job: str
    attempt: int
    settled: str | None
    pending: int
    result: str | None


@dataclass(frozen=True)
class Workflow:
    """An inserted workflow; indexed by name it gives the job id of a step."""

    id: UUID
    steps: dict[str, Job]

    def __getitem__(self, name: str) -> int:
        return self.steps[name].id


class Arena:
    """Made by `arena`."""

    def __init__(
        self,
        held: HeldSide,
        left: Store,
        right: Store,
        monitor: asyncpg.Connection[Any],
    ) -> None:
        self.held = held
        self.left = left
        self.right = right
        self.monitor = monitor
        self.claims: dict[int, ClaimedJob] = {}

    async def insert(self, *workflows: Baton) -> list[Workflow]:
        jobs = await insert_all(workflows, conn=self.monitor)
        steps: dict[UUID, dict[str, Job]] = {}
        for job in jobs:
            steps.setdefault(job.workflow_id, {})[job.name] = job
        return [Workflow(workflow_id, named) for workflow_id, named in steps.items()]

    async def claim(self, limit: int = 100_000, queue: str = "default") -> list[ClaimedJob]:
        """Claim what is available, and remember the claims for `done` and others."""
        jobs = (await settle(self.right, (), room=limit, queue=queue)).jobs
        self.claims.update((job.id, job) for job in jobs)
        return jobs

    def done(self, *job_ids: int, value: object = 1) -> list[Outcome]:
        """The outcomes of claimed jobs that completed."""
        return [done(self.claims[job_id], value) for job_id in job_ids]

    def ended(self, job_id: int, state: JobState, **fields: Any) -> Outcome:
        """The outcome of a claimed job that did not complete."""
        job = self.claims[job_id]
        return Outcome(job.id, job.attempted_at, job.attempt, state, **fields)

    async def in_order(
        self, first: Callable[[Store], Awaitable[A]], second: Callable[[Store], Awaitable[B]]
    ) -> Ordered[A, B]:
        """Run `first` up to its commit, then `second` until it waits or ends, then let go."""
        self.held.arm()
        async with asyncio.timeout(DEADLINE):
            one = asyncio.ensure_future(first(self.held))
            await _either(self.held.reached, one)
            two = asyncio.ensure_future(second(self.right))
            waited = await self.waits(two)
            self.held.let_go()
            return Ordered(await one, await two, waited)

    async def waits(self, running: asyncio.Future[Any]) -> bool:
        """Until the right side waits for a row (True) or has ended (False)."""
        while not running.done():
            if await self.monitor.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'race-right'"
                " AND datname = current_database() AND wait_event_type = 'Lock'"
                " AND wait_event IN ('transactionid', 'tuple'))"
            ):
                return True
            await asyncio.wait({running}, timeout=0.002)
        return False

    async def together(
        self, left: Callable[[Store], Awaitable[A]], right: Callable[[Store], Awaitable[B]]
    ) -> tuple[A, B]:
        """Run both at once."""
        async with asyncio.timeout(DEADLINE):
            return await asyncio.gather(left(self.left), right(self.right))

    async def facts(self, job_id: int) -> Facts:
        row = await self.monitor.fetchrow(
            "SELECT j.state::text, j.attempt::integer, n.state::text, n.pending, n.result->>'value'"
            " FROM baton.oban_jobs j JOIN baton.workflow_nodes n ON n.job_id = j.id"
            " WHERE j.id = $1",
            job_id,
        )
        assert row is not None
        return Facts(*row)

    async def states(self, job_ids: Iterable[int]) -> list[str]:
        """The states of jobs, in the order given."""
        rows = await self.monitor.fetch(
            "SELECT j.state::text FROM unnest($1::bigint[]) WITH ORDINALITY AS i (id, position)"
            " JOIN baton.oban_jobs j ON j.id = i.id ORDER BY i.position",
            list(job_ids),
        )
        return [row[0] for row in rows]

    async def violations(self) -> list[str]:
        return await violations(self.monitor)

    async def completions(self) -> dict[UUID, str]:
        rows = await self.monitor.fetch("SELECT * FROM baton.workflow_completions")
        return {row["workflow_id"]: row["outcome"] for row in rows}


@asynccontextmanager
async def arena(dsn: str) -> AsyncIterator[Arena]:
    held = HeldSide(dsn, "race-first")
    left = Side(dsn, "race-left")
    right = Side(dsn, "race-right")
    monitor = await asyncpg.connect(dsn, server_settings=server_settings("race-monitor"))
    try:
        for database in (held, left, right):
            await database.open()
        yield Arena(held, left, right, monitor)
    finally:
        held.let_go()
        for database in (held, left, right):
            await database.close()
        await monitor.close()


async def settle(
    database: Store,
    outcomes: Sequence[Outcome],
    *,
    room: int = 0,
    queue: str = "default",
    claim: bool = True,
    notify: bool = False,
) -> Settled:
    """The hot path, as an engine of its own calls it."""
    demands = [Demand(queue, room, claim)] if room else []
    return await settle_and_claim(
        database, outcomes, demands, Claimant("race", uuid4()), notify=notify
    )


def done(job: ClaimedJob, value: object = 1) -> Outcome:
    """The outcome of a job that completed."""
    result = f'{{"value":{value}}}'
    return Outcome(job.id, job.attempted_at, job.attempt, JobState.COMPLETED, result=result)


def diamond(parents: int = 2) -> Baton:
    """a, then b1 to bN, then d."""
    middle = [f"b{number}" for number in range(1, parents + 1)]
    workflow = Baton().add("a", noop.new())
    for name in middle:
        workflow.add(name, noop.new(), deps=["a"])
    return workflow.add("d", noop.new(), deps=middle)


def roots(count: int = 2) -> Baton:
    """r1 to rN, without dependencies."""
    workflow = Baton()
    for number in range(1, count + 1):
        workflow.add(f"r{number}", noop.new())
    return workflow


def join(parents: int = 2, *, ignore_discarded: bool = False) -> Baton:
    """p1 to pN without dependencies, then d."""
    names = [f"p{number}" for number in range(1, parents + 1)]
    workflow = Baton(ignore_discarded=ignore_discarded)
    for name in names:
        workflow.add(name, noop.new())
    return workflow.add("d", noop.new(), deps=names)


@asynccontextmanager
async def heard(dsn: str, channel: str = "baton.baton_finished") -> AsyncIterator[list[str]]:
    """What is notified, id by id; complete when the block has ended."""
    told: list[str] = []
    silent = asyncio.Event()

    def receive(_: object, __: int, name: str, payload: object) -> None:
        if name == channel:
            told.extend(str(payload).split(","))
        else:
            silent.set()

    connection = await asyncpg.connect(dsn)
    try:
        for name in (channel, "race_end"):
            await connection.add_listener(name, receive)
        yield told
        await connection.execute("NOTIFY race_end")
        async with asyncio.timeout(DEADLINE):
            await silent.wait()
    finally:
        await connection.close()


async def _either(event: asyncio.Event, running: asyncio.Future[Any]) -> None:
    reached = asyncio.ensure_future(event.wait())
    await asyncio.wait({reached, running}, return_when=asyncio.FIRST_COMPLETED)
    if not reached.done():
        reached.cancel()
        await running
        raise AssertionError("the first side ended without a transaction to hold")
