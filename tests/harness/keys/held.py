"""Long transactions of users that hold something, beside workflows without need of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import quantiles
from time import monotonic
from typing import Any
from uuid import uuid4

import asyncpg

from baton import Baton, Cancel, Engine, Step, insert_all, send_event, worker
from support.running import fast

HELD = ("nothing", "workflow", "key", "deep job")
VICTIMS = 6
"""Workflows that need what is held."""
CLIENTS = 3
NAP = 0.05


@dataclass(frozen=True)
class Latencies:
    """What somebody held, and how long unrelated workflows took meanwhile, in seconds. `ended`:
    whether the workflows that needed it have ended after it was let go.
    """

    held: str
    workflows: int
    median: float
    p95: float
    longest: float
    ended: bool


@worker
async def pass_by(step: Step) -> None:
    return None


@worker
async def give_up(step: Step) -> Cancel:
    return Cancel("as planned")


@worker
async def nap(step: Step) -> None:
    await step.sleep(NAP)


def unrelated(key: str) -> Baton:
    """Three steps, of which one sleeps, a gate with a key, and one below that fails."""
    return (
        Baton()
        .add("a", pass_by.new())
        .add("b", nap.new(), deps=["a"])
        .wait("gate", any_of=["x"], correlation_key=key, deps=["a"])
        .add("c", give_up.new(), deps=["b", "gate"])
    )


def victim(what: str, key: str) -> Baton:
    """It is inserted when what it needs is held, or waits for a time that is over by then."""
    match what:
        case "key":
            return (
                Baton()
                .add("a", pass_by.new())
                .wait("g", any_of=["x"], correlation_key=key, deps=["a"])
            )
        case "deep job":
            return (
                Baton()
                .wait("g", any_of=["x"], timeout=0.3, on_timeout="cancel")
                .add("b", pass_by.new(), deps=["g"])
                .add("c", pass_by.new(), deps=["b"])
            )
        case _:
            gated = Baton().wait("g", any_of=["x"], timeout=0.3)
            return gated.add("b", pass_by.new(), deps=["g"])


@asynccontextmanager
async def holding(
    dsn: str, what: str, key: str, victims: list[Baton], engine: Engine
) -> AsyncIterator[None]:
    """A transaction that stays open."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    ids = [workflow.workflow_id for workflow in victims]
    held = connection.transaction()
    await held.start()
    try:
        match what:
            case "workflow":
                await connection.execute(
                    "SELECT FROM baton.workflows WHERE id = ANY ($1::uuid[]) FOR UPDATE", ids
                )
            case "key":
                await send_event(None, "x", 1, correlation_key=key, conn=connection, engine=engine)
            case "deep job":
                # The last step of each: two levels below the one that fails.
                await connection.execute(
                    "SELECT FROM baton.oban_jobs WHERE id IN (SELECT job_id FROM"
                    " baton.workflow_nodes WHERE workflow_id = ANY ($1::uuid[]) AND name = 'c')"
                    " FOR UPDATE",
                    ids,
                )
            case _:
                pass
        yield
        await held.commit()
    finally:
        await connection.close()


async def hold(dsn: str, what: str, seconds: float) -> Latencies:
    """How long unrelated workflows take, while a transaction is open for so many seconds."""
    key = uuid4().hex
    victims = [victim(what, key) for _ in range(VICTIMS)]
    took: list[float] = []
    async with (
        fast(dsn, name="first", queues={"default": 20}) as engine,
        fast(dsn, name="second", queues={"default": 20}),
    ):
        if what != "key":
            await insert_all(victims, engine=engine)
        async with holding(dsn, what, key, victims, engine):
            if what == "key":
                await insert_all(victims, engine=engine)
            end = monotonic() + seconds
            await asyncio.gather(*(_client(engine, end, took) for _ in range(CLIENTS)))
        try:
            for workflow in victims:
                await engine.workflow(workflow.workflow_id).completion(timeout=20)
            ended = True
        except TimeoutError:
            ended = False
    cuts = quantiles(took, n=20, method="inclusive")
    return Latencies(
        what, len(took), round(cuts[9], 3), round(cuts[18], 3), round(max(took), 3), ended
    )


async def _client(engine: Engine, end: float, took: list[float]) -> None:
    while monotonic() < end:
        begun, key = monotonic(), uuid4().hex
        workflow = unrelated(key)
        await workflow.insert(engine=engine)
        await send_event(None, "x", 1, correlation_key=key, engine=engine)
        await engine.workflow(workflow.workflow_id).completion(timeout=60)
        took.append(monotonic() - begun)
