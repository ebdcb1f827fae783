"""The engine as an application sees it: its settings, its start and its stop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias, Unpack
from uuid import UUID, uuid4

import anyio

from baton.core.checks import parse_bulk_id
from baton.core.dsn import DSN_EXPECTED
from baton.core.near_names import unknown_option
from baton.handles.queue import QueueHandle
from baton.handles.workflow import WorkflowHandle
from baton.handles.workflows import WorkflowsHandle, go_on
from baton.migrating.schema_check import require_schema
from baton.reading.insights import Insights
from baton.runtime.lifespan import Lifespan
from baton.runtime.runtime import STOP_SECONDS
from baton.runtime.tasks import END_TIMEOUT, Deadline
from baton.store import ambient
from baton.store.ambient import Instance
from baton.store.connecting import Password
from baton.store.database import database_of
from baton.store.jobs import Claimant
from baton.store.sql import DEFAULT_SCHEMA
from baton.store.store import Store
from baton.sweep.plugin import Plugin, checked_plugins, sweep_in_turn
from baton.wiring import wired
from baton.words.argument_errors import InvalidOptionError
from baton.words.bulk import Bulk
from baton.words.config import EngineOptions, EngineSettings
from baton.words.engine_errors import EngineStateError
from baton.words.insights import WorkflowState

__all__ = ["Engine", "EngineOptions"]

LIFESPAN_TIMEOUT = 10.0
"""How long the lifespan may take to end, in seconds, once the engine has stopped."""

Made: TypeAlias = "Callable[[Engine], AbstractAsyncContextManager[object]]"

START_TIMEOUT = 3.0
"""Seconds that a start may still take when the engine is asked to stop meanwhile."""

_PARTS_OF_DSN = frozenset({"host", "port", "user", "password", "database", "dbname", "passfile"})


class Engine(Instance):
    """Runs the steps of some queues inside this event loop; without queues, it is a client.

        async with Engine("postgresql://…", queues={"default": 20}) as engine:
            completion = await engine.workflow(workflow_id).completion()

    `oban_schema` is that of the queue's `oban_jobs` (None: the same as Baton's). `password` is a
    function, sync or async, that makes the password for each connection; `pooled` says that a
    pooler in transaction mode stands before the server.

    While it runs it is the ambient engine of its name: `Baton(...).insert()` finds it by itself.
    Every start is a new engine for the database; one object runs once, in each process that was
    forked before it started.

    `lifespan` is called with the engine and returns an async context manager, for instance a
    function under `@asynccontextmanager`: it is entered before the engine connects and left after
    the engine has stopped, both in one task. If it raises in between, `run` stops and raises that.
    """

    _engine_id: UUID | None = None
    _failing: asyncio.Task[None] | None = None
    _lifespan: Lifespan | None = None
    _starting: asyncio.Timeout | None = None
    _stopping: asyncio.Task[None] | None = None

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = DEFAULT_SCHEMA,
        oban_schema: str | None = None,
        plugins: Sequence[Plugin] = (),
        lifespan: Made | None = None,
        password: Password | None = None,
        pooled: bool = False,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.plugins = checked_plugins(plugins)
        self.lifespan = _checked_lifespan(lifespan)
        try:
            settings = self.settings = EngineSettings(**options)
        except TypeError:
            raise _unknown(options) from None
        self._store = Store(
            dsn,
            schema=schema,
            oban_schema=oban_schema,
            application_name=f"baton:{settings.name}"[:63],
            pool_size=settings.pool_size,
            command_timeout=settings.command_timeout,
            acquire_timeout=settings.acquire_timeout,
            password=password,
            pooled=pooled,
            engine=settings.name,
        )
        self.database = database_of(self._store)
        self._parts = wired(self)
        self._state = "new"
        self._stop_asked = asyncio.Event()
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Engine {self.name!r} {self._state} queues={dict(self.settings.queues)}>"

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def engine_id(self) -> UUID:
        """Who this engine is for the database. Drawn when it starts: an object that was made before
        a fork starts in several processes, and each is an engine of its own.

        Raises EngineStateError before the start.
        """
        if self._engine_id is None:
            raise EngineStateError(self._state, "running", "engine.engine_id")
        return self._engine_id

    @property
    def state(self) -> str:
        """One of new, starting, running, stopping, stopped."""
        return self._state

    async def __aenter__(self) -> Self:
        """Start. Raises SchemaMissingError, SchemaMismatchError, UnavailableError, and
        MissingRightError.
        """
        if self._state != "new":
            raise EngineStateError(self._state, "new", "`async with engine`")
        self._expect_own_loop()
        self._state = "starting"
        try:
            async with asyncio.timeout(None) as self._starting:
                await self._start()
            self._parts.runtime.every(
                self.settings.poll_interval, "completions", self._parts.waiters.poll
            )
            for plugin in self.plugins:
                sweep = partial(sweep_in_turn, plugin, self._store, self.settings)
                self._parts.runtime.every(plugin.interval, "sweep", sweep)
        except BaseException:
            self._state = "stopping"
            with anyio.CancelScope(shield=True):
                await self._shut_down()
            if self._cut_off:
                raise EngineStateError("stopped", "running", "its start") from None
            raise
        finally:
            self._started.set()
        self._state = "running"
        return self

    async def _start(self) -> None:
        if self.lifespan is not None:
            made = partial(self.lifespan, self)
            self._lifespan = Lifespan(made, self._lifespan_failed, LIFESPAN_TIMEOUT)
            await self._lifespan.start()
        await self._store.open()
        await require_schema(self._store)
        # Before anything starts: what this engine performs inserts through this engine.
        ambient.enter(self)
        self._engine_id = uuid4()
        self._parts.ledger.claimant = Claimant(self.settings.node, self._engine_id)
        await self._parts.runtime.start(self._engine_id)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
        if error is None and self._lifespan is not None and self._lifespan.error is not None:
            raise self._lifespan.error

    async def run(self) -> None:
        """Run until `stop` is called or this task is cancelled; then stop gracefully."""
        try:
            async with self:
                await self._stop_asked.wait()
        except EngineStateError:
            # Stopped before it had started: that is what was asked for.
            if not self._cut_off:
                raise

    @property
    def _cut_off(self) -> bool:
        """Whether `stop` has ended the start."""
        return self._starting is not None and self._starting.expired()

    async def stop(self) -> None:
        """Stop in phases, each with a deadline: claim nothing more, let running steps finish
        (`shutdown_grace`), interrupt the rest (`interrupt_grace`) and make their jobs runnable
        again, close.

        Safe to call again, also while it stops: every caller returns when it has stopped.
        """
        self._expect_own_loop()
        self._stop_asked.set()
        if self._state == "starting":
            await self._end_start()
        if self._state in ("stopping", "stopped"):
            await self._stopped.wait()
        elif self._state == "running":
            self._state = "stopping"
            self._parts.waiters.closing = True
            # In a task of its own: neither a caller who gives up nor a step that stops its engine,
            # and is interrupted by that, cuts it short.
            self._stopping = asyncio.get_running_loop().create_task(self._shut_down())
            with anyio.CancelScope(shield=True):
                await asyncio.shield(self._stopping)

    async def _end_start(self) -> None:
        """A start that waits for a silent database is ended."""
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._started.wait()
        except TimeoutError:
            if self._starting is not None and self._state == "starting":
                self._starting.reschedule(asyncio.get_running_loop().time())
            await self._started.wait()

    def workflow(self, workflow_id: UUID | str) -> WorkflowHandle:
        """The handle of a workflow: its end, its results, what may be asked of it. Raises
        InvalidArgumentError for what is no id.
        """
        return WorkflowHandle(self._parts, workflow_id)

    def workflows(
        self,
        state: WorkflowState | str | None = None,
        workflow_name: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tags: Iterable[str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> WorkflowsHandle:
        """The handle of all workflows that match a filter, for one verb on each of them; the filter
        is that of `Insights.workflows`.

        Raises InvalidOptionError, InvalidNameError, NotStorableError, TooLargeError for tags and
        attributes that no workflow can have.
        """
        return WorkflowsHandle(
            self._parts,
            state=state,
            workflow_name=workflow_name,
            since=since,
            until=until,
            tags=tags,
            attributes=attributes,
        )

    async def resume_bulk(
        self, bulk_id: UUID | str, *, progress: Callable[[Bulk], None] | None = None
    ) -> Bulk:
        """Do the rest of a bulk operation whose process has died, or has given up. Any process may,
        also several at once; one that has finished is returned as it is.

        Raises UnknownBulkError, BulkStoppedError, InvalidArgumentError; EngineStateError unless
        this engine runs.
        """
        return await go_on(self._parts, parse_bulk_id(bulk_id), progress)

    def queue(self, name: str) -> QueueHandle:
        """The handle of a queue that this engine serves. Raises InvalidArgumentError."""
        return QueueHandle(self._parts, name)

    @property
    def insights(self) -> Insights:
        """Read-only questions about all workflows, queues and engines. Raises EngineStateError
        unless this engine runs.
        """
        ambient.opened("insights", self)
        return Insights(self.database)

    def wake(self, queue: str) -> None:
        """Look for available jobs of a queue now, without waiting for a notification or a poll. A
        queue that this engine does not serve is ignored.
        """
        self._expect_own_loop()
        self._parts.runtime.producer.wake(queue)

    def _lifespan_failed(self) -> None:
        self._failing = asyncio.get_running_loop().create_task(self.stop())

    async def _shut_down(self) -> None:
        ambient.leave(self)
        graces = self.settings.shutdown_grace + self.settings.interrupt_grace
        deadline = Deadline(graces + STOP_SECONDS)
        try:
            # Each is closed, whatever came of those before.
            async with AsyncExitStack() as parts:
                if self._lifespan is not None:
                    parts.push_async_callback(self._lifespan.stop)
                parts.push_async_callback(self._close_pool, deadline)
                parts.callback(self._parts.ledger.close)
                parts.push_async_callback(self._end_helpers, deadline)
                await self._parts.runtime.stop(deadline)
        finally:
            self._state = "stopped"
            self._stopped.set()

    async def _end_helpers(self, deadline: Deadline) -> None:
        await asyncio.gather(
            self._parts.hooks.stop(deadline.left(STOP_SECONDS)),
            self._parts.waiters.stop(deadline.left(END_TIMEOUT)),
        )

    async def _close_pool(self, deadline: Deadline) -> None:
        await self._store.close(deadline.left(END_TIMEOUT))

    def _expect_own_loop(self) -> None:
        self._store.expect_own_loop(f"engine {self.name!r}")


def _unknown(options: Mapping[str, object]) -> InvalidOptionError:
    name = next(name for name in options if name not in EngineOptions.__annotations__)
    # Never the value: it may be a password.
    given = type(options[name])
    if name in _PARTS_OF_DSN:
        return InvalidOptionError(name, given, f"it in the DSN, {DSN_EXPECTED}", subject=name)
    own = inspect.signature(Engine).parameters.values()
    known = [parameter.name for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]
    return unknown_option(name, given, "Engine", [*known, *EngineOptions.__annotations__])


def _checked_lifespan(given: Made | None) -> Made | None:
    if given is not None and not callable(given):
        expected = "a function of the engine that returns an async context manager"
        raise InvalidOptionError("lifespan", given, expected)
    return given
