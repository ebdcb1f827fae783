"""The processes of a ProcessExecutor end on a time-out, at a stop and with their parent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from baton import Baton, Engine, ProcessExecutor
from baton.errors import InvalidOptionError
from support import busy_processes
from support.programs import program
from support.running import running
from support.waiting import eventually

PROGRAM = Path(busy_processes.__file__)


def told(pids: Path) -> list[int]:
    """The processes that have begun to spin."""
    return [int(path.name) for path in pids.iterdir()]


def alive(pids: Path) -> list[int]:
    found: list[int] = []
    for process in told(pids):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            continue
        found.append(process)
    return found


async def begun(pids: Path, count: int) -> None:
    async def look() -> bool:
        return len(told(pids)) >= count

    await eventually(look, 40.0)


async def gone(pids: Path, deadline: float) -> None:
    async def look() -> bool:
        return not alive(pids)

    await eventually(look, deadline)


async def test_a_step_that_times_out_frees_its_process(dsn: str, tmp_path: Path) -> None:
    spins = busy_processes.spins.new(pids=str(tmp_path))
    hung = Baton().add("a", spins, timeout=15).add("b", spins, timeout=15)
    next_one = Baton().add("a", busy_processes.pid.new()).add("d", busy_processes.dies.new())
    last = Baton().add("a", busy_processes.pid.new())
    async with running(dsn) as run:
        await run.insert(hung)
        await begun(tmp_path, 2)
        completion = await run.engine.workflow(hung.workflow_id).completion(timeout=60)
        assert completion.failed_count == 2
        await gone(tmp_path, 2.0)
        # And a process that dies breaks nothing.
        await run.workflow(next_one)
        assert "BrokenProcessPool" in (await run.tables.step(next_one, "d")).error
        await run.completed(last)


@pytest.mark.timeout(300)
async def test_no_process_outlives_a_killed_worker(dsn: str, tmp_path: Path) -> None:
    for number in range(int(os.environ.get("BATON_TEST_KILLS", "2"))):
        pids = tmp_path / str(number)
        pids.mkdir()
        spins = busy_processes.spins.new(pids=str(pids))
        async with Engine(dsn) as client:
            workflow = Baton().add("a", spins).add("b", spins)
            await workflow.insert(engine=client)
        async with program(PROGRAM, dsn):
            await begun(pids, 2)
        await gone(pids, 2.0)
        async with Engine(dsn) as client:
            # Or the next worker rescues them, and they take its processes.
            await client.workflow(workflow.workflow_id).cancel()


def test_a_wrong_number_of_processes_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="max_workers=0"):
        ProcessExecutor(0)
