"""An engine sees that the process of another on the same machine has ended, and does not wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from baton import Baton
from baton.insights import Insights
from baton.runtime.processes import Process, is_gone, own_process
from support import forking
from support.forked import children
from support.forking import HELD, holds
from support.running import Run, opened, running
from support.waiting import eventually

pytestmark = pytest.mark.skipif(own_process() is None, reason="the system names no processes")

UNPATIENT = {"FORKING_RESCUE_AFTER": "60"}


async def executing(run: Run, workflow: Baton) -> bool:
    return set((await run.tables.states(workflow)).values()) == {"executing"}


async def test_what_a_killed_process_ran_is_run_at_once_when_it_starts_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All settings of the two engines that matter here are the defaults: a minute of silence."""
    monkeypatch.setattr(forking, "dsn", dsn)
    workflow = Baton().add("a", holds.new()).add("b", holds.new())
    async with running(dsn, queues={}) as client, opened(dsn) as holder:
        await holder.execute("SELECT pg_advisory_lock($1)", HELD)
        await client.insert(workflow)
        async with children(dsn, **UNPATIENT) as pids:
            await eventually(lambda: executing(client, workflow))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await holder.execute("SELECT pg_advisory_unlock($1)", HELD)
            async with running(dsn, name="again") as run:
                end = await run.engine.workflow(workflow.workflow_id).completion(timeout=20)
                assert end.outcome == "completed"
                for name in ("a", "b"):
                    row = await run.tables.step(workflow, name)
                    assert (row.attempt, row.errors[0]["rescued"]) == (1, True)

                # Nothing is left to be known from the rows of the dead.
                async def alone() -> bool:
                    return len(await Insights(run.engine.database).engines()) == 1

                await eventually(alone)


@pytest.mark.parametrize("where", ["another container", "another system", "not known"])
async def test_a_process_of_another_place_may_live(dsn: str, where: str) -> None:
    """Its number says nothing here: only its silence would."""
    place = {
        "another container": "replace(place, ':', ':9')",
        "another system": "'other' || place",
        "not known": "NULL",
    }[where]
    workflow = Baton().add("a", holds.new()).add("b", holds.new())
    async with running(dsn, queues={}) as client, opened(dsn) as holder:
        await holder.execute("SELECT pg_advisory_lock($1)", HELD)
        await client.insert(workflow)
        async with children(dsn, **UNPATIENT) as pids:
            await eventually(lambda: executing(client, workflow))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await client.tables.execute(f"UPDATE baton.baton_engines SET place = {place}")
            async with running(dsn, rescue_interval=0.02) as run:
                sentinel = Baton().add("c", holds.new(), queue="elsewhere")
                await run.insert(sentinel)
                # Two looks of the rescuer, told by a job that is found at once.
                for _ in range(2):
                    await run.tables.change(
                        sentinel,
                        "c",
                        state="'executing'",
                        attempted_at="timezone('UTC', now()) - interval '1 day'",
                        attempted_by=f"'{{n,{run.engine.engine_id},baton}}'",
                    )
                    await run.tables.until(sentinel, "c", "available")
                assert await executing(run, workflow)
                await run.engine.workflow(sentinel.workflow_id).cancel()
                await run.engine.workflow(workflow.workflow_id).cancel()


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def of(process: subprocess.Popen[bytes]) -> Process:
    own = own_process()
    assert own is not None
    with open(f"/proc/{process.pid}/stat") as stat:  # noqa: PTH123
        start = int(stat.read().rpartition(")")[2].split()[19])
    return own._replace(number=process.pid, start=start)


def test_a_process_is_gone_when_it_has_ended_and_not_before() -> None:
    here = own_process()
    assert here is not None
    assert not is_gone(here, here)
    with sleeper() as process:
        there = of(process)
        assert not is_gone(there, here)
        # Its number belongs to a later process.
        assert is_gone(there._replace(start=there.start - 1), here)
        assert not is_gone(there._replace(place="elsewhere", start=there.start - 1), here)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Its parent has not asked for it yet, as a container without an init never does.
        assert is_gone(there, here)
        process.wait()
        assert is_gone(there, here)
    # It is another user's, or init: it exists.
    assert not is_gone(of_init(here), here)


def of_init(here: Process) -> Process:
    with open("/proc/1/stat") as stat:  # noqa: PTH123
        return here._replace(number=1, start=int(stat.read().rpartition(")")[2].split()[19]))
