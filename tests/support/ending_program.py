"""A program of an application's own that runs an engine, and how it comes to its end.

python ending_program.py DSN
"""

from __future__ import annotations

import asyncio
import sys
import time

from baton import Engine, Step, SyncStep, worker


@worker(name="ending.neighbour", max_attempts=1)
async def neighbour(step: Step) -> None:
    await asyncio.sleep(300)


@worker(name="ending.blocks", max_attempts=1)
async def blocks(step: Step) -> None:
    """Keeps the loop busy."""
    time.sleep(300)  # noqa: ASYNC251


@worker(name="ending.hangs", max_attempts=1)
def hangs(step: SyncStep) -> None:
    time.sleep(300)


async def _exit() -> None:
    sys.exit(3)


@worker(name="ending.exits", max_attempts=1)
async def exits(step: Step) -> None:
    """Ends the program from a task of its own."""
    await asyncio.create_task(_exit())


if __name__ == "__main__":
    engine = Engine(
        sys.argv[1],
        queues={"default": 5},
        poll_interval=0.1,
        shutdown_grace=0.2,
        interrupt_grace=0.2,
    )
    asyncio.run(engine.run())
