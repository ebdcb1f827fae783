"""An insertion whose reply was lost is repeated, and tells its own workflows from others' of the
same id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, EngineSettings, insert_all
from baton.errors import WorkflowExistsError
from baton.store.store import Store
from support.inserting import Client, Connection, counts, process


class Lossy(Store):
    """Loses the connection at the end of its first transaction: before or after its commit."""

    def __init__(self, dsn: str, *, committed: bool, rival: Baton | None = None) -> None:
        super().__init__(dsn, pool_size=2)
        self.calls = 0
        self._committed = committed
        self._rival = rival

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        self.calls += 1
        first = self.calls == 1
        if not first:
            async with super().transaction() as connection:
                yield connection
            return
        try:
            async with super().transaction() as connection:
                yield connection
                if not self._committed:
                    raise ConnectionResetError("before the commit")
        finally:
            if self._rival is not None:
                await self._rivals()
        raise ConnectionResetError("after the commit")

    async def _rivals(self) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            assert self._rival is not None
            await self._rival.insert(conn=connection)
        finally:
            await connection.close()


@asynccontextmanager
async def lossy(dsn: str, **options: Any) -> AsyncIterator[Client]:
    database = Lossy(dsn, **options)
    await database.open()
    try:
        yield Client(database, EngineSettings())
    finally:
        await database.close()


@pytest.mark.parametrize("committed", [True, False])
async def test_it_is_there_once(dsn: str, db: Connection, committed: bool) -> None:
    workflow = Baton().add("a", process.new()).add("b", process.new(), deps=["a"])
    async with lossy(dsn, committed=committed) as client:
        jobs = await workflow.insert(engine=client)
    assert await counts(db) == (1, 2, 2)
    rows = await db.fetch("SELECT id FROM baton.oban_jobs ORDER BY id")
    assert [job.id for job in jobs] == [row["id"] for row in rows]


async def test_somebody_elses_workflow_of_that_id_is_not_taken_for_it(
    dsn: str, db: Connection
) -> None:
    taken = uuid4()
    workflow, rival = (Baton(taken).add("a", process.new()) for _ in range(2))
    async with lossy(dsn, committed=False, rival=rival) as client:
        with pytest.raises(WorkflowExistsError) as caught:
            await workflow.insert(engine=client)
    assert caught.value.workflow_id == taken
    assert await counts(db) == (1, 1, 1)


async def test_of_several_one_that_is_somebody_elses_refuses_all(dsn: str, db: Connection) -> None:
    taken = uuid4()
    own, other, rival = (
        Baton().add("a", process.new()),
        Baton(taken).add("a", process.new()),
        Baton(taken).add("a", process.new()),
    )
    async with lossy(dsn, committed=False, rival=rival) as client:
        with pytest.raises(WorkflowExistsError):
            await insert_all([own, other], engine=client)
    assert await counts(db) == (1, 1, 1)


async def test_what_existed_before_is_refused_at_once(dsn: str, db: Connection) -> None:
    taken = uuid4()
    workflow, rival = (Baton(taken).add("a", process.new()) for _ in range(2))
    connection = await asyncpg.connect(dsn)
    await rival.insert(conn=connection)
    await connection.close()
    async with lossy(dsn, committed=False) as client:
        with pytest.raises(WorkflowExistsError):
            await workflow.insert(engine=client)
    assert await counts(db) == (1, 1, 1)
