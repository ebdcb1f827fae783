"""How a run is timed: one driver for every system. Standard library and uvloop only.

The clock starts when the first step is performed (so no system pays for its start-up) and stops
when everything is durable: every step recorded as completed in the tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
from collections.abc import Awaitable, Callable
from time import monotonic, process_time
from typing import Protocol

import uvloop

from benchmarks.workloads import Workload, workload

POLL_SECONDS = 0.001
SETTLE_SECONDS = 1.0


class Tally:
    """Counts the steps performed in this process; every step calls `step` once."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.first = 0.0
        self.last = 0.0
        self._all = asyncio.Event()

    def step(self) -> None:
        self.last = monotonic()
        if self.count == 0:
            self.first = self.last
        self.count += 1
        if self.count == self.expected:
            self._all.set()

    def absorb(self, count: int, first: float, last: float) -> None:
        """Take over what other processes of this machine counted."""
        self.count, self.first, self.last = count, first, last
        self._all.set()

    async def all_performed(self) -> None:
        await self._all.wait()


class System(Protocol):
    """One system under one workload, on an empty database."""

    async def install(self) -> None:
        """Create the tables and open what the timed part must not pay for."""
        ...

    async def insert(self) -> None: ...

    async def work(self, stopping: asyncio.Event) -> None:
        """Run the workers until `stopping` is set."""
        ...

    async def durable(self) -> float:
        """All steps are performed: wait until the tables say so and return that moment."""
        ...

    async def verify(self) -> dict[str, tuple[int, int]]:
        """What was counted in the tables and what it must be."""
        ...


async def poll(predicate: Callable[[], Awaitable[bool]], seconds: float = POLL_SECONDS) -> float:
    # Not every system tells when all of it is written; a look at the tables serves for all.
    while not await predicate():  # noqa: ASYNC110
        await asyncio.sleep(seconds)
    return monotonic()


async def measure(system: System, load: Workload, tally: Tally) -> dict[str, object]:
    await system.install()
    stopping = asyncio.Event()
    workers: asyncio.Task[None] | None = None
    if load.idle:
        workers = asyncio.create_task(system.work(stopping))
        await asyncio.sleep(SETTLE_SECONDS)
    began = monotonic()
    await system.insert()
    inserted, cpu = monotonic(), process_time()
    workers = workers or asyncio.create_task(system.work(stopping))
    await _performed(tally, workers)
    durable = await system.durable()
    cpu = process_time() - cpu
    stopping.set()
    await workers
    checks = await system.verify() | {"steps performed": (tally.count, load.steps)}
    wrong = {what: pair for what, pair in checks.items() if pair[0] != pair[1]}
    if wrong:
        raise RuntimeError(f"not all work was done, (found, expected): {wrong}")
    return {
        "insert_seconds": inserted - began,
        "span_seconds": tally.last - tally.first,
        "drain_seconds": durable - tally.first,
        "drain_cpu_seconds": cpu,
        "steps": load.steps,
        "verified": {what: found for what, (found, _) in checks.items()},
        "python": platform.python_version(),
    }


async def _performed(tally: Tally, workers: asyncio.Task[None]) -> None:
    done = asyncio.create_task(tally.all_performed())
    await asyncio.wait({done, workers}, return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        done.cancel()
        workers.result()
        raise RuntimeError("the workers ended before the work")


def main(
    build: Callable[[argparse.Namespace, Workload, Tally], System],
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> None:
    """`WORKLOAD DSN`, and what `options` adds; prints one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", type=workload)
    parser.add_argument("dsn")
    options(parser)
    arguments = parser.parse_args()

    async def run() -> dict[str, object]:
        load: Workload = arguments.workload
        tally = Tally(load.steps)
        return await measure(build(arguments, load, tally), load, tally)

    print(json.dumps(uvloop.run(run())), flush=True)
