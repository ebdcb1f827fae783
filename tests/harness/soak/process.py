"""An engine with its plugin in a process of its own, that tells about itself when it is asked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

from baton import Engine, Plugin, subscribe
from baton.words.events import RowsPruned, WorkflowFinished
from soak import work
from support.places import python_path

AGE = 30.0
SWEEPS = 5.0
SLOTS = 40
START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0

assert work.KINDS  # its workers are registered


class Told(TypedDict):
    """What a process says of itself; `finished` and `pruned` since it was asked last."""

    rss: int
    tasks: int
    cpu: float
    finished: list[str]
    pruned: int


class Served:
    """Made by `serving`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def ask(self) -> Told:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"\n")
        async with asyncio.timeout(START_TIMEOUT):
            told: Told = json.loads(await stdout.readline())
        return told

    async def stop(self) -> Told:
        """Let it stop gracefully; what it says at last."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        async with asyncio.timeout(STOP_TIMEOUT):
            told: Told = json.loads(await self._process.stdout.readline())
            assert await self._process.wait() == 0
        return told


@asynccontextmanager
async def serving(dsn: str, age: float, sweeps: float) -> AsyncIterator[Served]:
    """A process whose engine runs; gone after the block, stopped gracefully by `stop`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__, dsn, str(age), str(sweeps)),
        stdin=PIPE,
        stdout=PIPE,
        limit=2**24,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            assert await process.stdout.readline() == b"running\n"
        yield Served(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _run(dsn: str, age: float, sweeps: float) -> None:
    finished: list[UUID] = []
    pruned = [0]

    def hear(event: Any) -> None:
        if isinstance(event, WorkflowFinished):
            finished.append(event.workflow_id)
        elif isinstance(event, RowsPruned):
            pruned[0] += event.count

    def told() -> str:
        nonlocal finished
        ids, finished = finished, []
        count, pruned[0] = pruned[0], 0
        return json.dumps(
            Told(
                rss=int(Path("/proc/self/statm").read_text().split()[1])
                * os.sysconf("SC_PAGE_SIZE"),
                tasks=len(asyncio.all_tasks()),
                cpu=time.process_time(),
                finished=list(map(str, ids)),
                pruned=count,
            )
        )

    subscribe(hear)
    plugin = Plugin(
        interval=sweeps,
        prune=True,
        debug_log_max_age=age,
        job_max_age={"completed": age, "cancelled": age, "discarded": age},
        event_max_age=2 * age,
    )
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with Engine(dsn, queues={"default": SLOTS}, plugins=[plugin]):
        _say("running")
        while await reader.readline():
            _say(told())
    _say(told())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # What is planned to fail is logged by the thousand.
    import logging

    logging.getLogger("baton").setLevel(logging.ERROR)
    asyncio.run(_run(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
