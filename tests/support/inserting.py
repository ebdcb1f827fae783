"""What the tests of insertion share: an engine as insertion sees it, workflows, a look at rows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from baton import Baton, EngineSettings, Step, Worker, worker
from baton.store import ambient
from baton.store.ambient import Instance
from baton.store.database import database_of
from baton.store.store import Store

Connection: TypeAlias = "asyncpg.Connection[Any]"


class Client(Instance):
    """An engine as insertion sees it."""

    def __init__(self, store: Store, settings: EngineSettings) -> None:
        self._store = store
        self.database = database_of(store)
        self.settings = settings


class Fetch(Worker, queue="io", max_attempts=4, priority=1, tags=["eu"]):
    key: str = "k"

    async def perform(self, step: Step) -> None: ...


@worker
async def process(step: Step, *, n: int = 0) -> None: ...


@asynccontextmanager
async def opened_client(dsn: str) -> AsyncGenerator[Client, None]:
    """A client of a database, ambient."""
    client = Client(Store(dsn, engine="default"), EngineSettings())
    await client.database.open()
    ambient.enter(client)
    yield client
    ambient.leave(client)
    await client.database.close()


@asynccontextmanager
async def session(dsn: str) -> AsyncGenerator[Connection, None]:
    """A session to look from outside, with "baton" in its search path."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "baton, public"})
    yield connection
    await connection.close()


ODD = "ä \"q\" 'a' \\ {b},NULL $1 %s … 🦆"


def diamond(workflow_id: UUID | None = None) -> Baton:
    return (
        Baton(workflow_id, workflow_name="ingest")
        .add("a", Fetch(key=ODD))
        .add("b", process.new(n=1), deps=["a"], ignore_cancelled=True)
        .add("c", process.new(n=2), deps=["a"], timeout=1.5, tags=[ODD, "x"])
        .add("d", Fetch(), deps=["b", "c"], ignore_discarded=True)
    )


async def counts(db: Connection) -> tuple[int, int, int]:
    row = await db.fetchrow(
        "SELECT (SELECT count(*) FROM workflows), (SELECT count(*) FROM oban_jobs),"
        " (SELECT count(*) FROM workflow_nodes)"
    )
    assert row is not None
    return row[0], row[1], row[2]
