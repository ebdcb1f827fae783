"""One of several engine processes on one database, and the parent's side of it.

The child says "ready", starts on a line, stops when its input ends, and prints what it counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar, TypeVar

import uvloop

from baton import Engine, Step, Worker
from benchmarks.drive import Tally
from benchmarks.workloads import Workload, workload

LARGE_STEPS = 20_000

T = TypeVar("T")


class Noop(Worker, name="noop"):
    number: int
    tally: ClassVar[Tally]

    async def perform(self, step: Step) -> None:
        self.tally.step()


def engine(dsn: str, load: Workload) -> Engine:
    return Engine(dsn, queues={"default": 200 if load.steps >= LARGE_STEPS else 100})


@asynccontextmanager
async def engine_processes(
    dsn: str, load: Workload, tally: Tally, count: int
) -> AsyncGenerator[None]:
    """Engines in `count` processes, started together; leaving stops them and fills `tally`."""
    children = [await _start(dsn, load) for _ in range(count)]
    try:
        for child in children:
            _present(child.stdin).write(b"go\n")
        yield
        for child in children:
            _present(child.stdin).close()
        reports = [json.loads(await _present(child.stdout).readline()) for child in children]
        tally.absorb(
            sum(report["count"] for report in reports),
            min(report["first"] for report in reports if report["count"]),
            max(report["last"] for report in reports),
        )
    finally:
        for child in children:
            if child.returncode is None:
                _present(child.stdin).close()
            await child.wait()


async def _start(dsn: str, load: Workload) -> Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, load.name, dsn, stdin=PIPE, stdout=PIPE
    )
    await _present(child.stdout).readline()
    return child


def _present(value: T | None) -> T:
    assert value is not None
    return value


async def _run_child(name: str, dsn: str) -> None:
    loop = asyncio.get_running_loop()
    Noop.tally = Tally(0)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    async with engine(dsn, workload(name)):
        await loop.run_in_executor(None, sys.stdin.readline)
    tally = Noop.tally
    print(json.dumps({"count": tally.count, "first": tally.first, "last": tally.last}), flush=True)


if __name__ == "__main__":
    uvloop.run(_run_child(*sys.argv[1:]))
