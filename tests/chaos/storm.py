"""What is done to processes, connections and the server, and when."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from time import monotonic

import asyncpg

from chaos.fleet import RESCUE_AFTER, Berth
from support.restarting import RestartingServer

PER_MINUTE = {"kill": 20, "stop": 4, "terminate": 10, "restart fast": 1.2, "restart immediate": 1.2}
LEAST = {"kill": 3, "stop": 1, "terminate": 2, "restart fast": 0, "restart immediate": 1}


def plan(chance: random.Random, seconds: float) -> list[tuple[float, str]]:
    """When what happens, in order."""
    return sorted(
        (chance.uniform(0.05, 1.0) * seconds, what)
        for what, rate in PER_MINUTE.items()
        for _ in range(max(LEAST[what], round(rate * seconds / 60)))
    )


class Storm:
    """Counts what it has done."""

    def __init__(
        self, server: RestartingServer, berths: Sequence[Berth], chance: random.Random
    ) -> None:
        self._server = server
        self._berths = berths
        self._chance = chance
        self._frozen: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()

    async def rage(self, seconds: float) -> None:
        """Do all that is planned; everything runs again when this returns."""
        began = monotonic()
        for due, what in plan(self._chance, seconds):
            await asyncio.sleep(max(began + due - monotonic(), 0.0))
            await self._do(what)
        await asyncio.gather(*self._frozen)
        for berth in self._berths:
            await berth.running()

    async def _do(self, what: str) -> None:
        match what:
            case "kill":
                await self._chance.choice(self._berths).kill()
            case "stop":
                berth = self._chance.choice(self._berths)
                seconds = self._chance.uniform(1.0, 3.0) * RESCUE_AFTER
                self._frozen.add(asyncio.create_task(berth.freeze(seconds)))
            case "terminate":
                await self._terminate(self._chance.randint(1, 6))
            case "restart fast":
                await self._server.stop()
                await asyncio.sleep(self._chance.uniform(0.0, 2.0))
                await self._server.start()
            case "restart immediate":
                await self._server.crash()
                await asyncio.sleep(self._chance.uniform(0.0, 2.0))
                await self._server.start()
        self.done[what] += 1

    async def _terminate(self, count: int) -> None:
        connection = await asyncpg.connect(self._server.dsn)
        try:
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'baton%'"
                " ORDER BY backend_start"
            )
            chosen = self._chance.sample([row[0] for row in rows], min(count, len(rows)))
            await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid", chosen
            )
        finally:
            await connection.close()
