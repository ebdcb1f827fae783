"""A worker process that is asked to stop at some moment, and what it leaves behind."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic

from baton import Baton, Engine, insert_all, schema
from outages.serving import GRACE, blocking, made, make, quick, slow, stuck
from support.databases import create_database, drop_database
from support.programs import program
from support.restarting import RestartingServer
from support.running import Tables, opened
from support.waiting import eventually

CHAINS = 40
PATIENCE = 60.0
# Beyond the graces: for the last settlement, and for the process itself on a busy machine.
SOME_SECONDS = 15.0


@dataclass
class Stop:
    """How one process ended."""

    after: str
    twice: bool
    dead: bool
    status: int | None = None
    took: float = 0.0
    left: dict[str, int] = field(default_factory=dict[str, int])
    faults: list[str] = field(default_factory=list[str])


async def stop_after(
    server: RestartingServer,
    *,
    seconds: float = 0.0,
    completed: int = 0,
    twice: bool = False,
    dead: bool = False,
) -> Stop:
    """Ask a worker process to stop so many seconds after its start and when so many steps have
    completed; `twice` at once, or when its database is `dead`. Then another engine does what is
    left.
    """
    stop = Stop(f"{seconds:.2f} s, {completed} steps", twice, dead)
    dsn = await create_database(server.dsn)
    await schema.migrate(dsn)
    workflows = _workflows()
    async with Engine(dsn) as client:
        await insert_all(workflows, engine=client)
    async with worker_process(dsn) as process:
        # The moment is what is tried.
        await asyncio.sleep(seconds)
        await _until_completed(dsn, completed)
        if dead:
            await server.crash()
        asked = monotonic()
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            if twice:
                await asyncio.sleep(0.02)
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE + SOME_SECONDS):
                stop.status = await process.wait()
        except TimeoutError:
            stop.faults.append("it does not end")
        stop.took = round(monotonic() - asked, 2)
    if dead:
        await server.start()
    async with opened(dsn) as tables:
        await _judge(stop, tables)
        await finished_by_another(stop.faults, tables, dsn, workflows)
    await drop_database(server.dsn, dsn)
    return stop


async def _until_completed(dsn: str, count: int) -> None:
    async with opened(dsn) as tables:

        async def look() -> bool:
            found: int = await tables.value(
                "SELECT count(*) FROM baton.oban_jobs WHERE state = 'completed'"
            )
            return found >= count

        await eventually(look, PATIENCE)


def _workflows() -> list[Baton]:
    chains = [
        Baton()
        .add("a", quick.new())
        .add("b", slow.new(), deps=["a"])
        .add("c", blocking.new(), deps=["a"])
        .add("d", quick.new(), deps=["b", "c"])
        for _ in range(CHAINS)
    ]
    return [*chains, Baton().add("a", stuck.new())]


async def _judge(stop: Stop, tables: Tables) -> None:
    rows = await tables.rows("SELECT state::text, count(*) FROM baton.oban_jobs GROUP BY 1")
    stop.left = {row[0]: row[1] for row in rows}
    stop.faults += await tables.violations()
    # Before its handlers stand nothing has been claimed, and the signal ends it as it ends any.
    expected = {0, -signal.SIGTERM}
    if stop.twice:
        expected.add(128 + signal.SIGTERM)
    elif stop.dead:
        expected.add(1)
    elif stop.left.get("executing"):
        stop.faults.append(f"{stop.left['executing']} jobs are left executing")
    if stop.status not in expected:
        stop.faults.append(f"it ended with {stop.status}")


async def finished_by_another(
    faults: list[str], tables: Tables, dsn: str, workflows: list[Baton]
) -> None:
    """Have another engine do what is left, and note what is not as if nobody had been stopped."""
    async with made(dsn) as engine:
        ends = Counter[str]()
        for workflow in workflows:
            ended = await engine.workflow(workflow.workflow_id).completion(timeout=PATIENCE)
            ends[ended.outcome] += 1
    if ends != {"completed": len(workflows)}:
        faults.append(f"the workflows ended as {dict(ends)}")
    faults += await tables.violations()
    faults += [
        row[0]
        for row in await tables.rows(
            "SELECT format('%s took %s attempts', worker, attempt) FROM baton.oban_jobs"
            " WHERE attempt <> 1"
        )
    ]


def worker_process(
    dsn: str, maker: Callable[[], Engine] = make
) -> AbstractAsyncContextManager[Process]:
    """`baton worker` with the engine that `maker` makes."""
    return program(
        *("-m", "baton.cli", "worker", f"outages.serving:{maker.__name__}"),
        BATON_DATABASE_URL=dsn,
        BATON_TEST_STUCK="1",
    )
