"""A program that makes an engine and then forks, as a server does that loads its application first.

python -m support.forking serve DSN     two processes run the engine; prints their ids
python -m support.forking share DSN     a fork of a process whose engine runs tries to use it

FORKING_DSN names the database, FORKING_RESCUE_AFTER is the engines' setting.
"""

from __future__ import annotations

import asyncio
import os
import sys
from multiprocessing import get_context

import asyncpg

from baton import Baton, Engine, Step, worker
from baton.store.store import store_of

HELD = 4711
"""Advisory lock that keeps the steps from ending."""

dsn = os.environ.get("FORKING_DSN", "postgresql://nowhere")
engine = Engine(
    dsn,
    queues={"default": 1},
    heartbeat_interval=0.3,
    rescue_after=float(os.environ.get("FORKING_RESCUE_AFTER", "2")),
    rescue_interval=0.1,
    shutdown_grace=0,
)


@worker(name="forking.holds")
async def holds(step: Step) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock_shared($1)", HELD)
    finally:
        await connection.close()
    return os.getpid()


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def run() -> None:
    asyncio.run(engine.run())


def serve() -> None:
    context = get_context("fork")
    children = [context.Process(target=run) for _ in range(2)]
    for child in children:
        child.start()
    say(*(child.pid for child in children))
    for child in children:
        child.join()


async def use(client: Engine) -> None:
    for attempt in (
        lambda: client.workflow(client.engine_id).completion(timeout=5),
        lambda: Baton().add("a", holds.new()).insert(engine=client),
        lambda: store_of(client).fetch("read_engines"),
    ):
        try:
            await asyncio.wait_for(attempt(), 5)
        except Exception as error:
            say(type(error).__name__, error)


async def share() -> None:
    async with Engine(dsn) as client:
        child = os.fork()
        if child == 0:
            asyncio.run(use(client))
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        say(await store_of(client).fetch("read_engines"))


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else asyncio.run(share())
