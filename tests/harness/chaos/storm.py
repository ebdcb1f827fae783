"""What is done to processes, connections and the server, and when."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from chaos.fleet import RESCUE_AFTER, Berth
from support.door import Door
from support.full_queue import full_queue
from support.restarting import RestartingServer
from support.waiting import moment

PER_MINUTE = {
    "kill": 20,
    "freeze": 4,
    "terminate": 8,
    "terminate listeners": 2,
    "drop notifications": 2,
    "blackhole": 6,
    "fill notifications": 2,
    "restart fast": 1.2,
    "restart immediate": 1.2,
}
LEAST = {
    "kill": 3,
    "freeze": 1,
    "terminate": 2,
    "blackhole": 1,
    "restart immediate": 1,
    "fill notifications": 1,
}
FULL = 5.0
"""Seconds for which the server has no room for notifications, at most a quarter of a storm."""
DROPPING = 10.0
"""Seconds in which all notifications are lost, at most a third of a storm."""
LISTENING = 10.0
"""Seconds in which some process is to listen again."""


def plan(chance: random.Random, seconds: float) -> list[tuple[float, str]]:
    """When what happens, in order."""
    return sorted(
        (chance.uniform(0.05, 1.0) * seconds, what)
        for what, rate in PER_MINUTE.items()
        for _ in range(max(LEAST.get(what, 0), round(rate * seconds / 60)))
    )


class Storm:
    """Counts what it has done."""

    def __init__(
        self,
        server: RestartingServer,
        dsn: str,
        berths: Sequence[Berth],
        doors: Sequence[Door],
        chance: random.Random,
    ) -> None:
        self._server = server
        self._dsn = dsn
        self._berths = berths
        self._doors = doors
        self._chance = chance
        self._later: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time
        self.done: Counter[str] = Counter()
        self.idle: list[str] = []
        """What was planned and struck nothing."""

    async def rage(self, seconds: float, *, calm: bool = False) -> None:
        """Do all that is planned, when it is `calm` nothing; everything runs again when this
        returns.
        """
        began = self._clock()
        planned = [] if calm else plan(self._chance, seconds)
        for due, what in planned:
            await moment(began + due)
            self.done[what] += await self._do(what, seconds)
        if calm:
            await moment(began + seconds)
        await asyncio.gather(*self._later)
        self.idle = sorted({what for _, what in planned if not self.done[what]})
        for berth in self._berths:
            await berth.running()

    async def _do(self, what: str, length: float) -> int:
        """How often it was done."""
        match what:
            case "kill":
                await self._chance.choice(self._berths).kill()
            case "freeze":
                seconds = self._chance.uniform(1.0, 3.0) * RESCUE_AFTER
                self._begin(self._freeze(self._chance.choice(self._berths), seconds))
                return 0
            case "terminate":
                return await self._terminate("baton%", self._chance.randint(1, 6))
            case "terminate listeners":
                return await self._terminate("baton-listener", 100)
            case "drop notifications":
                self._begin(self._drop(min(DROPPING, length / 3)))
                return 0
            case "blackhole":
                return await self._blackhole()
            case "fill notifications":
                self._begin(self._fill(min(FULL, length / 4)))
                return 0
            case "restart fast":
                await self._server.stop()
                await self._restart()
            case "restart immediate":
                await self._server.crash()
                await self._restart()
        return 1

    async def _restart(self) -> None:
        await moment(self._clock() + self._chance.uniform(0.0, 2.0))
        await self._server.start()

    async def _blackhole(self) -> int:
        # A process that was killed a moment ago listens again in a while.
        end = self._clock() + LISTENING
        while True:
            if listening := [door for door in self._doors if door.listeners]:
                return self._chance.choice(listening).blackhole()
            if self._clock() > end:
                return 0
            await moment(self._clock() + 0.05)

    async def _freeze(self, berth: Berth, seconds: float) -> None:
        await berth.freeze(seconds)
        self.done["freeze"] += 1

    async def _fill(self, seconds: float) -> None:
        """Others fill the queue of notifications. A restart of the server, which empties it, and a
        terminated session end that early.
        """
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with full_queue(self._dsn):
                self.done["fill notifications"] += 1
                await moment(self._clock() + seconds)

    async def _drop(self, seconds: float) -> None:
        before = sum(door.swallowed for door in self._doors)
        for door in self._doors:
            door.swallowing = True
        await moment(self._clock() + seconds)
        for door in self._doors:
            door.swallowing = False
        self.done["drop notifications"] += sum(door.swallowed for door in self._doors) > before

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._later.add(asyncio.create_task(work))

    async def _terminate(self, names: str, count: int) -> int:
        connection = await asyncpg.connect(self._server.dsn)
        try:
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1"
                " ORDER BY backend_start",
                names,
            )
            chosen = self._chance.sample([row[0] for row in rows], min(count, len(rows)))
            ended: int = await connection.fetchval(
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))"
                " FROM unnest($1::integer[]) AS pid",
                chosen,
            )
            return ended
        finally:
            await connection.close()
