"""An engine that was made before a fork: every process that starts it is an engine of its own."""

from __future__ import annotations

import asyncio
import os
import signal

from baton import Baton
from support.forked import children, program
from support.forking import HELD, holds
from support.running import Tables, opened, running
from support.waiting import DEADLINE, eventually


async def who(tables: Tables, workflow: Baton, *names: str) -> list[str]:
    """The engines that execute the steps, once all of them are executing."""
    rows = [await tables.step(workflow, name) for name in names]
    if any(row.state != "executing" for row in rows):
        return []
    return [str(row.attempted_by and row.attempted_by[1]) for row in rows]


async def test_each_process_is_an_engine_of_its_own(dsn: str) -> None:
    workflow = Baton().add("a", holds.new()).add("b", holds.new())
    async with running(dsn, queues={}) as run, opened(dsn) as holder:
        await holder.execute("SELECT pg_advisory_lock($1)", HELD)
        await run.insert(workflow)
        async with children(dsn) as pids:
            engines = await eventually(lambda: who(run.tables, workflow, "a", "b"))
            assert len(set(engines)) == 2
            rows = await run.tables.rows("SELECT id::text FROM baton.baton_engines")
            assert {row["id"] for row in rows} == set(engines)

            # The one that dies is missed, though its sibling beats.
            os.kill(pids[0], signal.SIGKILL)

            async def rescued() -> str | None:
                found = [await run.tables.step(workflow, name) for name in ("a", "b")]
                return next((row.error for row in found if row.errors), None)

            error = await eventually(rescued)
            assert error in [
                f"rescued: engine {engine} stopped while running it" for engine in engines
            ]
            await holder.execute("SELECT pg_advisory_unlock($1)", HELD)
            end = await run.engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
            assert end.outcome == "completed"
            steps = [await run.tables.step(workflow, name) for name in ("a", "b")]
            assert [row.result for row in steps] == [pids[1]] * 2
            assert sorted(len(row.errors) for row in steps) == [0, 1]


async def test_the_connections_of_a_running_engine_are_not_shared(dsn: str) -> None:
    async with program("share", dsn) as process:
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    lines = output.decode().splitlines()
    assert [line.split()[0] for line in lines] == [
        "EngineStateError",
        "EngineStateError",
        "UnavailableError",
        "[]",
    ]
    assert "before this process was forked" in lines[0]
    assert "of which this one is a fork" in lines[2]
