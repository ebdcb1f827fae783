"""How fast an engine works while a plugin prunes many finished workflows beside it.

    python -m benchmarks.pruning --finished 200000 --runs 3

Prints JSON: steps/s of diamonds without and with pruning, their ratio by round, and of the sweeps
how many there were, the longest in seconds, and the rows of each table that one sweep deleted at
most. The limit of a sweep is the plugin's default.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from time import monotonic
from typing import Any

import asyncpg
import uvloop

from baton import Baton, Engine, Plugin, Step, insert_all, subscribe, worker
from baton.schema import migrate
from baton.words.events import Event, RowsPruned, SweepFinished
from benchmarks.server import Server, running_server

DIAMONDS = 2_000
FINISHED = """
WITH made AS (
    INSERT INTO baton.workflows (id, steps, outstanding, inserted_at, finished_at)
    SELECT md5(n::text)::uuid, 2, 0, now(), now() FROM generate_series(1, $1::integer) n
    RETURNING id, inserted_at, finished_at
), nodes AS (
    INSERT INTO baton.workflow_nodes (job_id, workflow_id, name, state, result)
    SELECT -2 * row_number() OVER () + k, m.id, 's' || k, 'completed', '{"value": 1}'
    FROM made m, generate_series(0, 1) k
)
INSERT INTO baton.workflow_completions
    (workflow_id, outcome, failed_count, total_count, inserted_at, finished_at)
SELECT id, 'completed', 0, 2, inserted_at, finished_at FROM made
"""


@worker
async def noop(step: Step) -> None:
    """Does nothing."""


def diamond() -> Baton:
    return (
        Baton()
        .add("a", noop.new())
        .add("b", noop.new(), deps=["a"])
        .add("c", noop.new(), deps=["a"])
        .add("d", noop.new(), deps=["b", "c"])
    )


async def one_run(dsn: str, finished: int, *, prune: bool) -> tuple[float, list[Event]]:
    """Steps per second, and the events of the sweeps."""
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(FINISHED.replace("$1", str(finished)))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    events: list[Event] = []

    def keep(event: Event) -> None:
        if isinstance(event, SweepFinished | RowsPruned):
            events.append(event)

    plugins = [Plugin(interval=0.01, prune=True)] if prune else []
    workflows = [diamond() for _ in range(DIAMONDS)]
    async with Engine(dsn, name="client") as client:
        await insert_all(workflows, engine=client)
    undo = subscribe(keep)
    began = monotonic()
    async with Engine(dsn, queues={"default": 100}, plugins=plugins) as engine:
        ends = (engine.workflow(workflow.workflow_id).completion() for workflow in workflows)
        await asyncio.gather(*ends)
        speed = 4 * DIAMONDS / (monotonic() - began)
    undo()
    return speed, events


def measure(server: Server, finished: int, runs: int) -> dict[str, Any]:
    alone, pruning, events = list[float](), list[float](), list[Event]()
    for _ in range(runs):
        alone.append(uvloop.run(one_run(server.fresh_database(), finished, prune=False))[0])
        speed, told = uvloop.run(one_run(server.fresh_database(), finished, prune=True))
        pruning.append(speed)
        events += told
    ratios = [with_it / without for with_it, without in zip(pruning, alone, strict=True)]
    sweeps = [event.duration for event in events if isinstance(event, SweepFinished)]
    pruned = [event.tables for event in events if isinstance(event, RowsPruned)]
    return {
        "finished_workflows": finished,
        "steps_per_second": {"alone": alone, "pruning": pruning},
        "ratio": {"median": statistics.median(ratios), "rounds": ratios},
        "sweeps": {
            "count": len(sweeps),
            "longest_seconds": max(sweeps),
            "median_seconds": statistics.median(sweeps),
            "most_rows": {
                table: max(tables.get(table, 0) for tables in pruned)
                for table in sorted({table for tables in pruned for table in tables})
            },
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruning", description=__doc__)
    parser.add_argument("--finished", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with running_server() as server:
        print(json.dumps(measure(server, arguments.finished, arguments.runs), indent=1))


if __name__ == "__main__":
    main()
