"""A table of the user's own, and steps whose bodies a test gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Unpack

from baton import Baton, Step, worker
from baton.engine import EngineOptions
from support.running import Run, running

Body = Callable[[Step], Awaitable[Any]]

_bodies: dict[str, Body] = {}

WRITE = "INSERT INTO public.effects (who) VALUES ($1)"
TABLE = "CREATE TABLE IF NOT EXISTS public.effects (id serial PRIMARY KEY, who text NOT NULL)"


@worker(name="effects.act", backoff=0)
async def act(step: Step, *, body: str) -> Any:
    return await _bodies[body](step)


@worker(name="effects.after")
async def after(step: Step) -> Any:
    """What its dependency left, and what the table holds when it runs."""
    return await step.results()


def acting(body: Body, *, max_attempts: int = 5, timeout: float | None = None) -> Baton:
    """A workflow of a step `a` with this body, and one below it."""
    return (
        Baton(workflow_name="effects")
        .add("a", job_of(body), max_attempts=max_attempts, timeout=timeout)
        .add("b", after.new(), deps=["a"], ignore_cancelled=True, ignore_discarded=True)
    )


def job_of(body: Body) -> Any:
    name = f"{body.__module__}.{body.__qualname__}"
    _bodies[name] = body
    return act.new(body=name)


async def effects(run: Run) -> list[str]:
    return [
        row["who"] for row in await run.tables.rows("SELECT who FROM public.effects ORDER BY id")
    ]


@asynccontextmanager
async def with_effects(dsn: str, **options: Unpack[EngineOptions]) -> AsyncIterator[Run]:
    """A running engine, and the table."""
    async with running(dsn, **options) as run:
        await run.tables.execute(TABLE)
        yield run
