"""Says that the engine is alive, from a thread and a connection of its own.

A step that blocks the event loop must not make its engine look dead, so nothing here shares the
loop or the pool. What keeps the interpreter's lock holds the thread up too; a process of its own
would beat on, at the price of one more interpreter and driver in memory for every engine. It is not
worth that: code that keeps the lock for `rescue_after` belongs into a process of its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from uuid import UUID

from baton.runtime.processes import own_process
from baton.runtime.tasks import END_TIMEOUT
from baton.store.dedicated import Dedicated
from baton.store.jobs import retire_engine
from baton.store.store import Store
from baton.words.config import EngineSettings

_log = logging.getLogger("baton")


class Heartbeat:
    """One engine's heartbeat. `start` returns after the first beat: nothing may be claimed before
    it.
    """

    def __init__(
        self,
        database: Store,
        settings: EngineSettings,
        engine_id: UUID,
        queues: Callable[[], str] = lambda: "{}",
    ) -> None:
        """`queues` tells the limits of the queues as JSON; it is called from the thread."""
        self._process = own_process()
        self._queues = queues
        self._database = database
        self._settings = settings
        self._engine_id = engine_id
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        connection = self._connection()
        try:
            await self._beat(connection)
        finally:
            connection.drop()
        self._loop = asyncio.new_event_loop()
        threading.Thread(
            target=self._serve,
            args=(self._loop, asyncio.get_running_loop()),
            name="baton-heartbeat",
            daemon=True,
        ).start()

    async def stop(self, timeout: float = END_TIMEOUT) -> None:
        """End the thread; one that hangs is left behind after `timeout` seconds."""
        if self._loop is None:
            return
        _call(self._loop, self._end)
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("engine %s: its heartbeat does not stop", self._settings.name)

    def _end(self) -> None:
        self._stop.set()
        if self._task is not None:
            # A beat that waits for a silent server need not be waited for.
            self._task.cancel()

    async def retire(self, timeout: float = END_TIMEOUT) -> None:
        """Leave no row: whoever has stopped is not to be called dead. Gives up after `timeout`
        seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await retire_engine(self._database, self._engine_id)
        except Exception as error:
            _log.warning("engine %s left its row behind: %r", self._settings.name, error)

    def _serve(self, own: asyncio.AbstractEventLoop, engines: asyncio.AbstractEventLoop) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: own) as runner:
                runner.run(self._run())
        finally:
            _call(engines, self._ended.set)

    async def _run(self) -> None:
        stop = self._stop
        self._task = asyncio.current_task()
        connection = self._connection()
        failing = False
        while not stop.is_set():
            try:
                await self._beat(connection)
                failing = False
            except (Exception, asyncio.CancelledError) as error:
                if not failing and not stop.is_set():
                    _log.warning("engine %s: heartbeat failed: %r", self._settings.name, error)
                failing = True
            due = monotonic() + self._settings.heartbeat_interval
            try:
                async with asyncio.timeout(self._settings.heartbeat_interval):
                    await stop.wait()
            except (TimeoutError, asyncio.CancelledError):
                self._complain(monotonic() - due)
        connection.drop()

    def _complain(self, late: float) -> None:
        """Nothing in Python can beat while other code keeps the interpreter's lock: say so."""
        if late > self._settings.rescue_after / 2:
            _log.warning(
                "engine %s: no heartbeat for %.1f s: this process was stopped, or code kept the"
                " interpreter's lock (one call into C: a regular expression, a library that does"
                " not release it). After %g s (rescue_after) other engines rescue its jobs, which"
                " then run twice; such code belongs into another process (executor=)",
                self._settings.name,
                late + self._settings.heartbeat_interval,
                self._settings.rescue_after,
            )

    async def _beat(self, connection: Dedicated) -> None:
        await connection.connect()
        await connection.fetch(
            "beat_engine",
            str(self._engine_id),
            self._settings.name,
            self._settings.node,
            self._settings.rescue_after,
            *(self._process or (None, None, None)),
            self._queues(),
        )

    def _connection(self) -> Dedicated:
        return Dedicated(
            self._database.connector,
            self._database.sql,
            application_name="baton-heartbeat",
            timeout=min(self._settings.rescue_after / 3, 10.0),
        )


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    # A loop that is closed has no one left to tell.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)
