"""What the tests of insertion on a caller's connection share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from baton import Baton, EngineSettings, Step, Worker
from baton.store.ambient import Instance
from baton.store.store import Store

Connection: TypeAlias = "asyncpg.Connection[Any]"


class Fetch(Worker):
    key: str = "k"

    async def perform(self, step: Step) -> None: ...


class Client(Instance):
    """An engine as insertion sees it, which must not be asked for a connection."""

    def __init__(self, schema: str = "baton", name: str = "default") -> None:
        self._store = Store("postgresql://nowhere", schema=schema)
        self.settings = EngineSettings(name=name)


def pair(workflow_id: UUID | None = None) -> Baton:
    return Baton(workflow_id).add("a", Fetch(key="x")).add("b", Fetch(), deps=["a"], schedule_in=60)


async def count(db: Any) -> int:
    rows = await db.fetch(
        "SELECT count(*) FROM baton.workflows UNION ALL SELECT count(*) / 2 FROM baton.oban_jobs"
        " UNION ALL SELECT count(*) / 2 FROM baton.workflow_nodes"
    )
    (found,) = {row[0] for row in rows}
    return int(found)


class UndoError(Exception):
    """What a caller raises to undo its transaction."""


@asynccontextmanager
async def engine_of(dsn: str, **options: Any) -> AsyncGenerator[AsyncEngine, None]:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), **options
    )
    try:
        yield engine
    finally:
        await engine.dispose()
