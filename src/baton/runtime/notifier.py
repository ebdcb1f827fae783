"""One listener for everything an engine wants to hear. Notifications only shorten waiting.

A listener that has just connected may have missed anything, so it wakes everybody; a silent
half-open connection is found by a probe. Through a pooler notifications do not arrive: that is said
once, and polling does the work.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from baton.store.dedicated import Dedicated

_log = logging.getLogger("baton")

PROBE_INTERVAL = 15.0
PROBE_TIMEOUT = 3.0

Receiver = Callable[[str | None], None]


class Notifier:
    """Receivers per channel. A receiver gets the payload, or None when it may have missed
    something.
    """

    def __init__(self, connection: Dedicated, probe_channel: str) -> None:
        self._connection = connection
        self._probe_channel = probe_channel
        self._token = uuid.uuid4().hex
        self._receivers: dict[str, Receiver] = {}
        self._answered = asyncio.Event()
        self._lost = asyncio.Event()
        self._deaf = False

    def on(self, channel: str, receiver: Receiver) -> None:
        """Register a receiver before `run`. It is called in the loop and must not block."""
        self._receivers[channel] = receiver

    async def run(self, listening: Callable[[], None]) -> None:
        """Listen until the connection fails, then raise: whoever keeps this running
        starts it anew. Calls `listening` when it hears.
        """
        try:
            self._lost.clear()
            await self._connection.connect()
            if self._connection.lent:
                await self._leave_it(listening)
            self._connection.on_termination(self._lost.set)
            for channel in (*self._receivers, self._probe_channel):
                await self._connection.listen(channel, self._receive)
            for receiver in self._receivers.values():
                receiver(None)
            listening()
            await self._probe_until_lost()
        finally:
            self._connection.drop()

    async def _probe_until_lost(self) -> None:
        while not self._lost.is_set():
            self._answered.clear()
            await self._connection.fetch("notify_probe", self._probe_channel, self._token)
            heard = await _within(PROBE_TIMEOUT, self._answered)
            self._hears(heard)
            await _within(PROBE_INTERVAL, self._lost)
        raise ConnectionError("the listener's connection was lost")

    async def _leave_it(self, listening: Callable[[], None]) -> None:
        # LISTEN would stay behind in a session that others are lent next.
        self._connection.drop()
        self._hears(False)
        listening()
        await asyncio.Event().wait()

    def _hears(self, heard: bool) -> None:
        if not heard and not self._deaf:
            _log.warning("notifications do not arrive (a pooler?); polling does the work")
        self._deaf = not heard

    def _receive(self, channel: str, payload: str) -> None:
        if channel == self._probe_channel:
            if payload == self._token:
                self._answered.set()
            return
        receiver = self._receivers.get(channel)
        if receiver is None:
            return
        try:
            receiver(payload)
        except Exception as error:
            _log.warning("a notification on %s was not understood: %r", channel, error)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
