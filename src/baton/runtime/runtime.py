"""One running engine: what starts, in which order, and how it stops in phases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.runtime.alarm import Alarm
from baton.runtime.heartbeat import Heartbeat
from baton.runtime.ledger_protocol import Ledger
from baton.runtime.loops import Loops, Work
from baton.runtime.notifier import Notifier
from baton.runtime.producer import Producer
from baton.runtime.rescue import Rescuer
from baton.runtime.stager import Stager
from baton.runtime.tasks import END_TIMEOUT, Deadline
from baton.store.dedicated import Dedicated
from baton.store.store import Store
from baton.telemetry import seam
from baton.words.config import EngineSettings
from baton.words.events import EngineStarted, EngineStopped
from baton.words.rows import Claim

_log = logging.getLogger("baton")

FLUSH_TIMEOUT = 9.0
STOP_SECONDS = 12.0
"""Seconds, beyond its graces, within which an engine has stopped, whatever the database does."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001


class Runtime:
    """The loops and tasks of one engine. Start once, stop once."""

    def __init__(self, database: Store, settings: EngineSettings, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self._settings = settings
        self._loops = Loops(settings.name)
        self.producer = Producer(settings, ledger)
        self.producer.executor.program_ends = self._loops.are_cancelled
        self._heartbeat: Heartbeat | None = None
        self._stager = Stager(database, settings, self.producer.wake)
        self._notifier = Notifier(
            Dedicated(database.connector, database.sql, application_name="baton-listener"),
            database.sql.channel("baton_probe"),
        )
        self._alarms: dict[str, Alarm] = {}
        self._bells: dict[str, list[Alarm]] = {}

    def on(self, channel: str, receiver: Callable[[str | None], None]) -> None:
        """Hear notifications of one of this schema's channels; before `start`."""
        self._notifier.on(self._database.sql.channel(channel), receiver)

    def every(self, interval: float, what: str, work: Work) -> None:
        """Have a piece of work done regularly while the engine runs; after `start`."""
        self._loops.every(interval, what, work)

    def alarm(self, channel: str, what: str, work: Callable[[], Awaitable[float | None]]) -> None:
        """Have work done whenever it is due while the engine runs, if it has queues; a notification
        on the channel rings for all work that has it. Before `start`.
        """
        alarm = Alarm(work, self._settings.poll_interval)
        self._alarms[what] = alarm
        if self._settings.queues:
            bells = self._bells.setdefault(channel, [])
            bells.append(alarm)
            self.on(channel, partial(_ring, bells))

    async def start(self, engine_id: UUID) -> None:
        """Start, under an identity that nobody else has."""
        if self._settings.queues:
            database, settings = self._database, self._settings
            heartbeat = Heartbeat(database, settings, engine_id, self.producer.queues.described)
            rescuer = Rescuer(database, settings, engine_id, self._ledger, self.producer)
            await heartbeat.start()
            self._heartbeat = heartbeat
            self.producer.open()
            self.on("oban_insert", self._jobs_inserted)
            self.on("baton_cancel", self._jobs_cancelled)
            self._loops.every(self._settings.poll_interval, "poll", self._poll)
            self._loops.every(self._settings.stage_interval, "stage", self._stager.stage)
            self._loops.every(self._settings.rescue_interval, "rescue", rescuer.rescue)
            for what, alarm in self._alarms.items():
                self._loops.forever(what, alarm.run)
        if self._settings.notify:
            self._loops.forever("listen", self._notifier.run)
        if seam.active:
            seam.emit(EngineStarted(self._settings.name, self.producer.queues.names))

    async def stop(self, deadline: Deadline) -> None:
        """Stop claiming, drain, interrupt, release what remains, settle the last outcomes, go
        silent.

        Each phase is bounded; what cannot be written is left to a rescue by another engine.
        """
        try:
            released, unsettled = await self._finish(deadline)
        finally:
            most = deadline.left(END_TIMEOUT)
            ends = [self.producer.close(most), self._loops.stop(most)]
            if self._heartbeat is not None:
                ends.append(self._heartbeat.stop(most))
            await asyncio.gather(*ends)
        # Where the writing has used up the time, the database is silent: the row is left behind.
        in_time = deadline.left(END_TIMEOUT) == END_TIMEOUT
        if self._heartbeat is not None and not unsettled and in_time:
            await self._heartbeat.retire(END_TIMEOUT)
        if seam.active:
            seam.emit(EngineStopped(self._settings.name, released))

    async def _finish(self, deadline: Deadline) -> tuple[int, int]:
        """End the running jobs; returns how many were interrupted, and how many are unsettled."""
        producer, settings = self.producer, self._settings
        # Whoever cancels this cancels all tasks: the program ends, and nothing is waited for but
        # the writing.
        with suppress(asyncio.CancelledError):
            await producer.drain(settings.shutdown_grace)
        released = producer.executor.interrupt_all()
        if released:
            with suppress(asyncio.CancelledError):
                await producer.executor.drained(settings.interrupt_grace)
            producer.abandon()
        with suppress(asyncio.CancelledError):
            return released, await producer.flush(deadline.left(FLUSH_TIMEOUT))
        return released, await producer.flush(deadline.left(FLUSH_TIMEOUT))

    async def _poll(self) -> None:
        self.producer.wake()

    def _jobs_inserted(self, payload: str | None) -> None:
        # Other runtimes write to this channel too, some of them compressed: what is not understood
        # wakes all.
        try:
            notice = decode(payload or "")
        except ValueError:
            notice = None
        queue = notice.get("queue") if isinstance(notice, dict) else None
        self.producer.wake(queue if isinstance(queue, str) else None)

    def _jobs_cancelled(self, payload: str | None) -> None:
        if payload is not None:
            self.producer.interrupt_claims({_claim(text) for text in payload.split(",")})


def _claim(text: str) -> Claim:
    """A claim as interrupt_jobs.sql writes it."""
    job_id, microseconds = text.split(":")
    return int(job_id), _EPOCH + timedelta(microseconds=int(microseconds))


def _ring(bells: Sequence[Alarm], payload: str | None) -> None:
    for bell in bells:
        bell.ring(payload)
