"""absurd: a workflow is one task, its steps are checkpoints written inside one function.

Not the same work: a step is not claimed by a worker and there is no graph in the database. Jobs of
a flat workload are tasks without checkpoints. The schema is the one that `absurdctl` carries.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

import psycopg
from absurd_sdk import AsyncAbsurd, AsyncTaskContext
from absurdctl import BUNDLED_SCHEMA_SQL

from benchmarks import drive
from benchmarks.workloads import Workload

CLIENTS = 12
CLIENT_CONCURRENCY = 30
POLL_SECONDS = 0.01
TASK = "workflow"
UNFINISHED = "SELECT EXISTS (SELECT FROM absurd.t_default WHERE state <> 'completed')"
COMPLETED = "SELECT count(*) FROM absurd.t_default WHERE state = 'completed'"
CHECKPOINTS = "SELECT count(*) FROM absurd.c_default"


class AbsurdSystem:
    def __init__(self, arguments: argparse.Namespace, load: Workload, tally: drive.Tally) -> None:
        self._dsn: str = arguments.dsn
        self._load = load
        self._tally = tally
        self._tasks = load.steps if load.flat else load.workflows

    async def install(self) -> None:
        self._connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        await self._connection.execute(BUNDLED_SCHEMA_SQL.encode())
        # One task keeps one client busy; the others would only poll.
        self._clients = [AsyncAbsurd(self._dsn) for _ in range(min(CLIENTS, self._tasks))]
        await self._clients[0].create_queue("default")
        for client in self._clients:
            client.register_task(TASK)(self._perform_flat if self._load.flat else self._perform)
            await client.list_queues()

    async def insert(self) -> None:
        rest = iter(range(self._tasks))

        async def spawn(client: AsyncAbsurd, numbers: Iterator[int]) -> None:
            for number in numbers:
                await client.spawn(TASK, {"workflow": number})

        await asyncio.gather(*(spawn(client, rest) for client in self._clients))

    async def work(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(
                    client.start_worker(
                        worker_id=f"worker-{number}",
                        concurrency=CLIENT_CONCURRENCY,
                        poll_interval=POLL_SECONDS,
                    )
                )
            await stopping.wait()
            for client in self._clients:
                client.stop_worker()
        for client in self._clients:
            await client.close()

    async def durable(self) -> float:
        return await drive.poll(self._is_finished)

    async def verify(self) -> dict[str, tuple[int, int]]:
        tasks, checkpoints = (
            await self._fetch_value(COMPLETED),
            await self._fetch_value(CHECKPOINTS),
        )
        await self._connection.close()
        return {
            "tasks completed": (tasks, self._tasks),
            "checkpoints": (checkpoints, 0 if self._load.flat else self._load.steps),
        }

    async def _perform(self, params: object, context: AsyncTaskContext) -> None:
        for level in self._load.graph.levels:
            await asyncio.gather(*(context.step(f"s{step}", self._step) for step in level))

    async def _perform_flat(self, params: object, context: AsyncTaskContext) -> None:
        self._tally.step()

    async def _step(self) -> None:
        self._tally.step()

    async def _is_finished(self) -> bool:
        return not await self._fetch_value(UNFINISHED)

    async def _fetch_value(self, query: str) -> int:
        row = await (await self._connection.execute(query.encode())).fetchone()
        assert row is not None
        return int(row[0])


if __name__ == "__main__":
    drive.main(AbsurdSystem)
