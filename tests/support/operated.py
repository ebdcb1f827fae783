"""What an operator names to `baton worker` in the tests: workers, an engine, and wrong things."""

from __future__ import annotations

import asyncio
import os
import threading

from baton import Engine, Step, worker
from support.waiting import eventually


@worker(name="operated.answer")
async def answer(step: Step) -> int:
    return 42


@worker(name="operated.finish")
async def finish(step: Step) -> str:
    """Ends once its engine stops."""

    async def stopping() -> bool:
        return engine.state == "stopping"

    await eventually(stopping)
    return "finished"


@worker(name="operated.hang")
async def hang(step: Step) -> None:
    await asyncio.Event().wait()


@worker(name="operated.block")
async def block(step: Step) -> None:
    """Neither does the loop go on."""
    threading.Event().wait()


@worker(name="operated.never")
def never(step: object) -> None:
    threading.Event().wait()


def make() -> Engine:
    return Engine(
        os.environ.get("BATON_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere"),
        queues={"default": 5},
        shutdown_grace=float(os.environ.get("GRACE", "20")),
        interrupt_grace=0.2,
    )


engine = make()


async def later() -> Engine:
    return make()


def other(name: str) -> Engine:
    return make()


def broken() -> Engine:
    raise RuntimeError("no engine today")


number = 7
