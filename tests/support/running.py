"""A running engine with what a test needs to see and to touch: its events and its tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, Unpack
from uuid import UUID

import asyncpg
import pytest

from baton import Baton, Completion, Engine, Job, Plugin, subscribe
from baton.engine import EngineOptions
from baton.errors import CompletionTimeoutError
from baton.store.connecting import Password
from baton.store.store import Store
from baton.words.events import Event, StepSettled, WorkflowFinished
from support.invariants import violations
from support.waiting import DEADLINE, eventually

E = TypeVar("E", bound=Event)


class FastOptions(TypedDict):
    queues: Mapping[str, int]
    poll_interval: float
    stage_interval: float
    shutdown_grace: float
    interrupt_grace: float


# Polling is so slow that only a prompt wake-up passes within a test's deadline.
FAST: FastOptions = {
    "queues": {"default": 10},
    "poll_interval": 300.0,
    "stage_interval": 0.02,
    "shutdown_grace": 0.5,
    "interrupt_grace": 0.5,
}


class Recorder:
    """The events of this process, in order."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.all.append(event)
        self._changed.set()

    def of(self, kind: type[E], **facts: object) -> list[E]:
        """The events of a kind whose fields have these values."""
        return [
            event
            for event in self.all
            if isinstance(event, kind)
            and all(getattr(event, name) == value for name, value in facts.items())
        ]

    async def until(self, kind: type[E], count: int = 1, **facts: object) -> list[E]:
        """Wait for as many events of a kind."""
        async with asyncio.timeout(DEADLINE):
            while len(found := self.of(kind, **facts)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found

    def endings(self, step: str) -> list[str]:
        """How the attempts of a step ended, by the names of the events' classes."""
        return [type(event).__name__ for event in self.of(StepSettled, step=step)]


@contextmanager
def recorded() -> Iterator[Recorder]:
    recorder = Recorder()
    unsubscribe = subscribe(recorder)
    try:
        yield recorder
    finally:
        unsubscribe()


@dataclass(frozen=True)
class Row:
    """What the tables say of one step."""

    id: int
    state: str
    attempt: int
    errors: list[dict[str, Any]]
    attempted_by: Sequence[str] | None
    due_in: float
    settled: str | None
    pending: int
    result: Any
    stored: bool

    @property
    def error(self) -> str:
        return str(self.errors[-1]["error"]) if self.errors else ""


_STEP = """
SELECT
    j.id, j.state::text, j.attempt, to_jsonb(j.errors)::text AS errors, j.attempted_by,
    extract(epoch FROM j.scheduled_at - timezone('UTC', clock_timestamp()))::float8 AS due_in,
    n.state::text AS settled, n.pending, (n.result -> 'value')::text AS result,
    n.result IS NOT NULL AS stored
FROM baton.oban_jobs j
JOIN baton.workflow_nodes n ON n.job_id = j.id
WHERE n.workflow_id = $1 AND n.name = $2
"""


class Tables:
    """The rows of one database, to be read and changed by hand."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    async def step(self, workflow: Baton, name: str) -> Row:
        (row,) = await self._connection.fetch(_STEP, workflow.workflow_id, name)
        facts = dict(row)
        facts["errors"] = json.loads(facts["errors"])
        facts["result"] = None if facts["result"] is None else json.loads(facts["result"])
        return Row(**facts)

    async def until(self, workflow: Baton, name: str, *states: str) -> Row:
        """Wait until the job of a step is in one of the states."""

        async def look() -> Row | None:
            row = await self.step(workflow, name)
            return row if row.state in states else None

        found = await eventually(look)
        assert found is not None
        return found

    async def change(self, workflow: Baton, name: str, **columns: object) -> int:
        """Set columns of a step's job by hand, each given as SQL; returns the job's id."""
        changes = ", ".join(f"{column} = {value}" for column, value in columns.items())
        job_id: int | None = await self._connection.fetchval(
            f"UPDATE baton.oban_jobs SET {changes} WHERE id = (SELECT job_id "
            "FROM baton.workflow_nodes WHERE workflow_id = $1 AND name = $2) RETURNING id",
            workflow.workflow_id,
            name,
        )
        assert job_id is not None
        return job_id

    async def states(self, workflow: Baton) -> dict[str, str]:
        rows = await self._connection.fetch(
            "SELECT n.name, j.state::text FROM baton.workflow_nodes n "
            "JOIN baton.oban_jobs j ON j.id = n.job_id WHERE n.workflow_id = $1 ORDER BY j.id",
            workflow.workflow_id,
        )
        return {row["name"]: row["state"] for row in rows}

    async def value(self, query: str, *args: object) -> Any:
        return await self._connection.fetchval(query, *args)

    async def rows(self, query: str, *args: object) -> list[asyncpg.Record]:
        return list(await self._connection.fetch(query, *args))

    async def execute(self, query: str, *args: object) -> str:
        return await self._connection.execute(query, *args)

    async def blocked(self, count: int) -> None:
        """Wait until as many backends of this database wait for a lock."""

        async def look() -> bool:
            found = await self._connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return int(found) >= count

        await eventually(look)

    async def unconnected(self) -> bool:
        """Whether Baton has no connection left to this database."""
        found = await self._connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'baton%'"
        )
        return int(found) == 0

    async def violations(self) -> list[str]:
        return await violations(self._connection)

    async def executing(self) -> list[str]:
        rows = await self._connection.fetch(
            "SELECT format('job %s of %s is executing', id, worker) "
            "FROM baton.oban_jobs WHERE state = 'executing'"
        )
        return [row[0] for row in rows]


async def beat(store: Store, engine: UUID, rescue_after: float) -> None:
    """One heartbeat of an engine whose process nobody knows."""
    facts = (str(engine), "beating", "node", rescue_after, None, None, None, "{}")
    await store.fetch("beat_engine", *facts)


async def beating(store: Store, engine: UUID, *, rescue_after: float = 60.0) -> None:
    """Make the tables say that an engine has been alive and steady for a day."""
    await beat(store, engine, rescue_after)
    async with store.connection() as connection:
        await connection.execute(
            f"UPDATE {store.sql.identifier}.baton_engines "
            "SET steady_since = now() - interval '1 day' WHERE id = $1",
            engine,
        )


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Tables]:
    connection = await asyncpg.connect(dsn)
    try:
        yield Tables(connection)
    finally:
        await connection.close()


@dataclass(frozen=True)
class Run:
    """A running engine with its events and its tables."""

    engine: Engine
    events: Recorder
    tables: Tables

    async def insert(self, workflow: Baton) -> list[Job]:
        return await workflow.insert(engine=self.engine)

    async def end(self, workflow: Baton) -> Completion:
        """Wait for the end of a workflow, and for the events that tell of it in this process."""
        try:
            completion = await self.engine.workflow(workflow.workflow_id).completion(
                timeout=DEADLINE
            )
            await self.events.until(WorkflowFinished, workflow_id=workflow.workflow_id)
            return completion
        except CompletionTimeoutError:
            rows = [await self.tables.step(workflow, name) for name in workflow.step_names]
            pytest.fail("\n".join(str(row) for row in rows if row.settled is None))

    async def workflow(self, workflow: Baton) -> Completion:
        """Insert a workflow and wait for its end."""
        await self.insert(workflow)
        return await self.end(workflow)

    async def completed(self, workflow: Baton) -> Completion:
        """Insert a workflow and wait for its end, without a failed step and without an error."""
        completion = await self.workflow(workflow)
        for name in workflow.step_names:
            row = await self.tables.step(workflow, name)
            if row.state != "completed" or row.errors:
                pytest.fail(f"step {name!r} is {row.state}: {row.error}")
        return completion


def fast(
    dsn: str,
    *,
    plugins: Sequence[Plugin] = (),
    password: Password | None = None,
    pooled: bool = False,
    **options: Unpack[EngineOptions],
) -> Engine:
    """An engine that has not been started."""
    merged: EngineOptions = {**FAST, **options}
    return Engine(dsn, plugins=plugins, password=password, pooled=pooled, **merged)


@asynccontextmanager
async def running(
    dsn: str, *, plugins: Sequence[Plugin] = (), **options: Unpack[EngineOptions]
) -> AsyncIterator[Run]:
    """An engine, running; when it has stopped, its tables break no rule and nothing is
    executing.
    """
    async with opened(dsn) as tables:
        with recorded() as events:
            async with fast(dsn, plugins=plugins, **options) as engine:
                yield Run(engine, events, tables)
        assert await tables.violations() == []
        assert (
            await tables.value("SELECT count(*) FROM baton.oban_jobs WHERE state = 'executing'")
            == 0
        )
