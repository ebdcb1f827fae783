"""pgqueuer: the graph is user code. A step enqueues what it releases, the queue acknowledges it.

A join counts down in a table of its own. The enqueueing and the acknowledgement are two commits:
a crash between them repeats or loses a hand-over, which nothing here repairs.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from itertools import repeat

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from benchmarks import drive
from benchmarks.workloads import Workload

BATCH_SIZE = 100
FLAT_BATCH_SIZE = 500
POOL_SIZE = 5
ENTRYPOINT = "step"
COUNT_DOWN = """
UPDATE pending_joins SET pending = pending - 1 WHERE workflow = $1 AND step = $2 RETURNING pending
"""


class PgqueuerSystem:
    def __init__(self, arguments: argparse.Namespace, load: Workload, tally: drive.Tally) -> None:
        self._dsn: str = arguments.dsn
        self._load = load
        self._tally = tally
        self._graph = load.graph

    async def install(self) -> None:
        self._pool = await asyncpg.create_pool(self._dsn, min_size=POOL_SIZE, max_size=POOL_SIZE)
        self._queries = Queries(AsyncpgPoolDriver(self._pool))
        await self._queries.install()
        await self._pool.execute(
            "CREATE TABLE pending_joins"
            " (workflow int, step int, pending int NOT NULL, PRIMARY KEY (workflow, step))"
        )
        self._manager = QueueManager(self._queries)
        self._manager.entrypoint(ENTRYPOINT)(self._perform)

    async def insert(self) -> None:
        joins = [
            (workflow, step, len(self._graph.dependencies[step]))
            for workflow in range(self._load.workflows)
            for step in self._graph.joins
        ]
        if joins:
            await self._pool.copy_records_to_table("pending_joins", records=joins)
        await self._enqueue(
            [(w, s) for w in range(self._load.workflows) for s in self._graph.roots]
        )

    async def work(self, stopping: asyncio.Event) -> None:
        size = FLAT_BATCH_SIZE if self._load.flat else BATCH_SIZE
        await self._manager.run(dequeue_timeout=timedelta(seconds=1), batch_size=size)

    async def durable(self) -> float:
        # Shutting down writes the acknowledgements that its buffer would hold for another 0.1 s.
        self._manager.shutdown.set()
        return await drive.poll(self._is_empty)

    async def verify(self) -> dict[str, tuple[int, int]]:
        logged = await self._pool.fetchval(
            "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
        )
        await self._pool.close()
        return {"jobs logged as successful": (logged, self._load.steps)}

    async def _is_empty(self) -> bool:
        return bool(await self._pool.fetchval("SELECT NOT EXISTS (SELECT FROM pgqueuer)"))

    async def _perform(self, job: Job) -> None:
        workflow, step = map(int, (job.payload or b"").split(b":"))
        self._tally.step()
        ready = [
            (workflow, dependent)
            for dependent in self._graph.dependents[step]
            if len(self._graph.dependencies[dependent]) == 1
            or not await self._pool.fetchval(COUNT_DOWN, workflow, dependent)
        ]
        if ready:
            await self._enqueue(ready)

    async def _enqueue(self, steps: list[tuple[int, int]]) -> None:
        payloads: list[bytes | None] = [b"%d:%d" % pair for pair in steps]
        names = list(repeat(ENTRYPOINT, len(steps)))
        await self._queries.enqueue(names, payloads, list(repeat(0, len(steps))))


if __name__ == "__main__":
    drive.main(PgqueuerSystem)
