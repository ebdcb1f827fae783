"""The real library, driven call by call: no loop of an engine runs, and every commit may break."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg

from baton import EngineSettings, Step, subscribe, worker
from baton.errors import UnavailableError
from baton.performing.perform import Performer
from baton.runtime.quarantine import Quarantine
from baton.runtime.rescue import Rescuer
from baton.settling import settle_and_claim as ledger_module
from baton.settling.announce import emit_finished
from baton.settling.settle_and_claim import WorkflowLedger
from baton.store.ambient import Instance
from baton.store.connecting import Connector
from baton.store.dedicated import Dedicated
from baton.store.faults import driver_error
from baton.store.jobs import Claimant
from baton.store.session import server_settings
from baton.store.store import Store
from baton.sweep.without_engine import NoJobs
from baton.waits import send
from baton.words.events import Event, WorkflowFinished
from model.calls import LOST, MAX_RESCUES, Crash, Lost

T = TypeVar("T")

SETTINGS = EngineSettings(max_rescues=MAX_RESCUES)
FOR_EVER = 1e6
"""Seconds that no run lasts: time passes only where a rule says so."""

READS = ("find_", "read_", "next_")

PREPARED = """
DO $$
BEGIN
    -- Time passes only where a rule says so: what asks for another look is due at once.
    EXECUTE replace(
        pg_get_functiondef('baton.baton_arm'::regproc), '100 ms', '1 microsecond'
    );
END $$;
CREATE TABLE public.announced (workflow_id uuid);
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.announced VALUES (NEW.workflow_id);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT ON baton.workflow_completions
    FOR EACH ROW EXECUTE FUNCTION public.note();
"""
TABLES = (
    "oban_jobs",
    "workflow_nodes",
    "workflows",
    "workflow_completions",
    "workflow_wait_groups",
    "workflow_wait_members",
    "workflow_events",
    "workflow_deleted_jobs",
    "workflow_step_history",
    "baton_actions",
    "workflow_deadlines",
    "baton_engines",
)


class Broken(asyncpg.ConnectionDoesNotExistError):
    """The way to the server broke, as planned."""


class Commits:
    """Counts the commits of a call, and breaks it where it is planned."""

    def __init__(self) -> None:
        self.crash: Crash | None = None
        self.pause: Callable[[], Awaitable[None]] | None = None
        self.done = 0

    def plan(self, crash: Crash | None) -> None:
        self.crash, self.done = crash, 0

    async def begin(self) -> None:
        """What is to happen right before the first commit of a call happens now."""
        pause, self.pause = self.pause, None
        if pause is not None:
            await pause()

    def before(self) -> None:
        self.done += 1
        self._break(after=False)

    def after(self) -> None:
        self._break(after=True)

    def _break(self, *, after: bool) -> None:
        if self.crash is not None and self.crash == (self.done, after):
            raise Broken("broken as planned")


class Breaking(Store):
    """A database that breaks as planned, and tries again only where that is wanted."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, application_name="model")
        self.commits = Commits()
        self.tries_again = False

    async def retrying(
        self,
        body: Callable[[], Awaitable[T]],
        *,
        idempotent: bool = False,
        when_locked: bool = True,
    ) -> T:
        if self.tries_again:
            return await super().retrying(body, idempotent=idempotent, when_locked=when_locked)
        return await body()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        await self.commits.begin()
        async with super().transaction() as connection:
            yield connection
            self.commits.before()
        self.commits.after()

    @asynccontextmanager
    async def committing(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Whoever breaks is gone, and looks nothing up."""
        async with self.transaction() as connection:
            yield connection

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        if query.startswith(READS):
            return await super().fetch(query, *args)
        await self.commits.begin()
        self.commits.before()
        rows = await super().fetch(query, *args)
        self.commits.after()
        return rows

    def dedicated(self, application_name: str) -> Dedicated:
        return _Lane(self, application_name)


class _Lane(Dedicated):
    """Its connection survives what is planned: only the reply is lost."""

    def __init__(self, database: Breaking, application_name: str) -> None:
        super().__init__(Connector(database.dsn), database.sql, application_name=application_name)
        self._database = database

    @property
    def connected(self) -> bool:
        return True

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        return await self._database.fetch(query, *args)


class Engine:
    """A worker's half of an engine: its claims, its ledger, its heartbeat's row."""

    def __init__(self, database: Breaking) -> None:
        self.id = uuid4()
        self.performer = Performer(database, SETTINGS)
        self.ledger = WorkflowLedger(
            database,
            self.performer,
            Claimant("model", self.id),
            notify=True,
            on_finished=partial(emit_finished, None),
            on_cancelled=lambda steps: None,
        )


class World(Instance):
    """Made by `world`. `announced` counts what this process told of ended workflows."""

    def __init__(
        self, runner: asyncio.Runner, database: Breaking, monitor: asyncpg.Connection[Any]
    ) -> None:
        self.runner = runner
        self._store = self.database = database
        self.settings = SETTINGS
        self.monitor = monitor
        self.told: Counter[UUID] = Counter()
        self._rescuer: Engine

    def run(self, work: Awaitable[T]) -> T:
        async def main() -> T:
            return await work

        return self.runner.run(main())

    def execute(self, statement: str, *args: object) -> str:
        return self.run(self.monitor.execute(statement, *args))

    def clear(self) -> None:
        """Begin anew."""
        self.execute("".join(f"DELETE FROM baton.{table};" for table in TABLES))
        self.execute("DELETE FROM public.announced")
        self.told.clear()
        self._rescuer = self.engine()

    def engine(self) -> Engine:
        """A new worker, alive for ever."""
        engine = Engine(self.database)
        self.execute(
            "INSERT INTO baton.baton_engines"
            " (id, name, node, rescue_after, seen_at, steady_since) VALUES"
            " ($1, 'model', 'model', 60, now() + interval '1 day', now() - interval '1 day')",
            engine.id,
        )
        return engine

    def beat(self, engine: Engine, *, alive: bool) -> None:
        """Its heart beats, or has not for long; not so long that its row would be forgotten."""
        self.execute(
            "UPDATE baton.baton_engines SET seen_at = now() + $2 * interval '1 s' WHERE id = $1",
            engine.id,
            86_400 if alive else -100,
        )

    def call(self, work: Callable[[], Awaitable[T]], crash: Crash | None = None) -> T | Lost:
        """Make a call that breaks as planned."""
        self.database.commits.plan(crash)
        try:
            return self.run(work())
        except (Broken, UnavailableError) as error:
            if not isinstance(driver_error(error), Broken):
                raise
            return LOST
        finally:
            self.database.commits.plan(None)

    async def rescue(self) -> None:
        engine = self._rescuer
        await Rescuer(self.database, SETTINGS, engine.id, engine.ledger, NoJobs()).rescue()

    def _hear(self, event: Event) -> None:
        if isinstance(event, WorkflowFinished):
            self.told[event.workflow_id] += 1

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        unsubscribe = subscribe(self._hear)
        try:
            yield
        finally:
            unsubscribe()


Act = Callable[[Step], Awaitable[object]]
acts: dict[int, Act] = {}
"""What the body of a job's step does next."""


@worker(name="model.act", backoff=3600)
async def act(step: Step, *, given: int = 0) -> object:
    return await acts[step.job_id](step)


def _refused(
    quarantine: Quarantine[Any], key: object, error: Exception, longest: float = 0.0
) -> None:
    """Nobody holds a lock here, and the database refuses nothing."""
    raise error


@asynccontextmanager
async def world(dsn: str, runner: asyncio.Runner) -> AsyncIterator[World]:
    """The database of this DSN must have been `prepared`."""
    database = Breaking(dsn)
    before = ledger_module.LOOK_FOR_LOST, send.FINISH_AFTER, Quarantine.refuse
    ledger_module.LOOK_FOR_LOST = send.FINISH_AFTER = FOR_EVER
    Quarantine.refuse = _refused  # type: ignore[method-assign, assignment]
    await database.open()
    monitor = await asyncpg.connect(dsn, server_settings=server_settings("model-monitor"))
    try:
        made = World(runner, database, monitor)
        async with made.listening():
            yield made
    finally:
        ledger_module.LOOK_FOR_LOST, send.FINISH_AFTER, Quarantine.refuse = before  # type: ignore[method-assign]
        await monitor.close()
        await database.close()
