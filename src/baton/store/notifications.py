"""Whether commits notify. Notifications only shorten waiting: a server that has no room for them
must not keep anything from being written.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import asyncpg

from baton.store.faults import is_notify_queue_full
from baton.telemetry.seldom import Seldom
from baton.words.base_error import BatonError

_log = logging.getLogger("baton")

T = TypeVar("T")

MUTED = 5.0
"""Seconds without notifications once the server's queue was full."""
WARNING_INTERVAL = 60.0
ROOM = 0.9
"""How full the queue may be for another try with notifications."""


class Notifications:
    """Shared by all that write through one database. `usage` asks the server how full its queue is;
    asking also lets the server forget what everybody has read, which it else does only when a
    notification goes through.
    """

    def __init__(self, usage: Callable[[], Awaitable[float]]) -> None:
        self._usage = usage
        self._muted_until = 0.0
        self._warnings = Seldom(WARNING_INTERVAL)

    @property
    def muted(self) -> bool:
        return self._muted_until > 0.0 and monotonic() < self._muted_until

    async def send(self, write: Callable[[bool], Awaitable[T]], wanted: bool = True) -> T:
        """Call `write(notify)`, again if the server had no room for the notification: once more
        when it has room by now, else without. `write` must be safe to repeat after a rollback.
        """
        for _ in range(2):
            notify = wanted and not self.muted
            try:
                return await write(notify)
            except Exception as error:
                if not (notify and is_notify_queue_full(error)):
                    raise
            await self.relieve()
        self._mute()
        return await write(False)

    async def relieve(self) -> None:
        """The server had no room: mute, unless it has by now."""
        try:
            usage = await self._usage()
        except (asyncpg.PostgresError, BatonError):
            usage = 1.0
        if usage > ROOM:
            self._mute()

    def _mute(self) -> None:
        self._muted_until = monotonic() + MUTED
        if self._warnings.take():
            _log.warning(
                "the server's queue of notifications is full: a session that listens stays in a"
                " transaction (see pg_stat_activity); what is written goes on without"
                " notifications, so that engines find new work at their next poll only"
            )
