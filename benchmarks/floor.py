"""The floor: what asyncpg and Postgres do without any library, on Oban's own table and indexes.

One number per measurement: a latency, rows inserted per second, or jobs claimed and completed per
second in batches of K over one or four connections.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from itertools import repeat
from time import perf_counter
from typing import Any, TypeAlias

import asyncpg
import uvloop

from baton.schema import migrate

Connection: TypeAlias = "asyncpg.Connection[Any]"

JOBS_OF_BATCH = {1: 2_000, 10: 10_000, 100: 20_000, 500: 20_000}
CONNECTIONS = (1, 4)
REPEATS = 1_000
INSERTED = 20_000
CLAIM = """
WITH claimed AS MATERIALIZED (
    SELECT id FROM baton.oban_jobs WHERE state = 'available' AND queue = 'default'
    ORDER BY priority, scheduled_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE baton.oban_jobs AS job
SET state = 'executing', attempt = attempt + 1, attempted_by = '{floor}',
    attempted_at = timezone('UTC', now())
FROM claimed WHERE job.id = claimed.id
RETURNING job.id, job.args, job.attempted_at
"""
COMPLETE = """
UPDATE baton.oban_jobs SET state = 'completed', completed_at = timezone('UTC', now())
WHERE id = ANY($1::bigint[])
"""


async def latency_ms(connection: Connection, query: str) -> float:
    for _ in range(REPEATS // 10):
        await connection.execute(query)
    statement = await connection.prepare(query)
    began = perf_counter()
    for _ in range(REPEATS):
        await statement.fetch()
    return (perf_counter() - began) / REPEATS * 1_000


async def copy_per_second(connection: Connection, jobs: int) -> float:
    began = perf_counter()
    await connection.copy_records_to_table(
        "oban_jobs",
        schema_name="baton",
        records=repeat(("floor", '{"number": 1}'), jobs),
        columns=["worker", "args"],
    )
    return jobs / (perf_counter() - began)


async def jobs_per_second(connections: list[Connection], batch: int, jobs: int) -> float:
    await connections[0].execute("TRUNCATE baton.oban_jobs")
    await copy_per_second(connections[0], jobs)
    began = perf_counter()
    await asyncio.gather(*(_drain(connection, batch) for connection in connections))
    seconds = perf_counter() - began
    completed = await connections[0].fetchval(
        "SELECT count(*) FROM baton.oban_jobs WHERE state = 'completed'"
    )
    if completed != jobs:
        raise RuntimeError(f"{completed} of {jobs} jobs were completed")
    return jobs / seconds


async def _drain(connection: Connection, batch: int) -> None:
    claim, complete = await connection.prepare(CLAIM), await connection.prepare(COMPLETE)
    while rows := await claim.fetch(batch):
        await complete.fetch([row["id"] for row in rows])


async def measure(dsn: str) -> dict[str, object]:
    await migrate(dsn)
    connections = [await asyncpg.connect(dsn) for _ in range(max(CONNECTIONS))]
    first = connections[0]
    await first.execute("CREATE TABLE one_row AS SELECT 0 AS value")
    figures = {
        "SELECT 1, ms": await latency_ms(first, "SELECT 1"),
        "durable one-row commit, ms": await latency_ms(
            first, "UPDATE one_row SET value = value + 1"
        ),
        "COPY into oban_jobs, rows/s": await copy_per_second(first, INSERTED),
    }
    for count in CONNECTIONS:
        for batch, jobs in JOBS_OF_BATCH.items():
            name = f"claim and complete {batch}, {count} connection{'s' * (count > 1)}, jobs/s"
            figures[name] = await jobs_per_second(connections[:count], batch, jobs)
    for connection in connections:
        await connection.close()
    return {"figures": figures, "python": platform.python_version()}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(sys.argv[1]))), flush=True)
