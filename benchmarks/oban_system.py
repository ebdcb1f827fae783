"""oban for Python: the graph is user code as in pgqueuer_system.py.

A step enqueues what it releases. The count-down of a join and the enqueueing share a transaction;
the acknowledgement is another.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import asyncio
from typing import ClassVar

from oban import Oban
from oban.decorators import worker
from oban.job import Job
from oban.schema import install

from benchmarks import drive
from benchmarks.workloads import Workload

QUEUE_LIMIT = 100
DEBOUNCE_SECONDS = 0.005
IDLE_DEBOUNCE_SECONDS = 0.0
POOL_SIZE = 10
COUNT_DOWN = """
UPDATE pending_joins SET pending = pending - 1 WHERE workflow = %s AND step = %s RETURNING pending
"""
UNFINISHED = """
SELECT EXISTS (SELECT FROM oban_jobs
               WHERE state IN ('available', 'executing', 'retryable', 'scheduled'))
"""
COMPLETED = "SELECT count(*) FROM oban_jobs WHERE state = 'completed'"


class StepWorker:
    system: ClassVar[ObanSystem]

    async def process(self, job: Job) -> None:
        await self.system.perform(job.args["workflow"], job.args["step"])


RegisteredWorker = worker(queue="default")(StepWorker)


class ObanSystem:
    def __init__(self, arguments: argparse.Namespace, load: Workload, tally: drive.Tally) -> None:
        self._dsn: str = arguments.dsn
        self._load = load
        self._tally = tally
        self._graph = load.graph
        StepWorker.system = self

    async def install(self) -> None:
        self._pool = await Oban.create_pool(self._dsn, min_size=POOL_SIZE, max_size=POOL_SIZE)
        await install(self._pool)
        async with self._pool.connection() as connection:
            await connection.execute(
                "CREATE TABLE pending_joins"
                " (workflow int, step int, pending int NOT NULL, PRIMARY KEY (workflow, step))"
            )
        debounce = IDLE_DEBOUNCE_SECONDS if self._load.idle else DEBOUNCE_SECONDS
        queue = {"limit": QUEUE_LIMIT, "debounce_interval": debounce}
        self._oban = Oban(pool=self._pool, queues={"default": queue})

    async def insert(self) -> None:
        workflows = range(self._load.workflows)
        async with self._pool.connection() as connection, connection.cursor() as cursor:
            async with cursor.copy("COPY pending_joins FROM STDIN") as copy:
                for workflow in workflows:
                    for step in self._graph.joins:
                        pending = len(self._graph.dependencies[step])
                        await copy.write_row((workflow, step, pending))
            jobs = [_job(workflow, step) for workflow in workflows for step in self._graph.roots]
            await self._oban.enqueue_many(jobs, conn=connection)

    async def work(self, stopping: asyncio.Event) -> None:
        async with self._oban:
            await stopping.wait()

    async def durable(self) -> float:
        return await drive.poll(self._is_finished)

    async def verify(self) -> dict[str, tuple[int, int]]:
        completed = await self._fetch_value(COMPLETED)
        await self._pool.close()
        return {"jobs completed": (completed, self._load.steps)}

    async def perform(self, workflow: int, step: int) -> None:
        self._tally.step()
        dependents = self._graph.dependents[step]
        if not dependents:
            return
        async with self._pool.connection() as connection:
            ready: list[Job] = []
            for dependent in dependents:
                if len(self._graph.dependencies[dependent]) > 1:
                    cursor = await connection.execute(COUNT_DOWN, (workflow, dependent))
                    if (await cursor.fetchone()) != (0,):
                        continue
                ready.append(_job(workflow, dependent))
            await self._oban.enqueue_many(ready, conn=connection)

    async def _is_finished(self) -> bool:
        return not await self._fetch_value(UNFINISHED)

    async def _fetch_value(self, query: str) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(query.encode())).fetchone()
        assert row is not None
        return int(row[0])


def _job(workflow: int, step: int) -> Job:
    job: Job = RegisteredWorker.new({"workflow": workflow, "step": step})
    return job


if __name__ == "__main__":
    drive.main(ObanSystem)
