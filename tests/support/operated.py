"""What an operator names to `baton worker` in the tests: workers, an engine, and wrong things."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from baton import Engine, Step, worker


@worker(name="operated.answer")
async def answer(step: Step) -> int:
    return 42


@worker(name="operated.wait")
async def wait(step: Step, *, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"


@worker(name="operated.block")
async def block(step: Step) -> None:
    time.sleep(300)  # noqa: ASYNC251


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
