"""Insertions that wait for each other, are cancelled or fail half-way."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest

from baton import insert_all
from baton.errors import WorkflowExistsError
from baton.store.borrowed import borrowed
from baton.store.sql import Sql
from support.borrowing import Connection, UndoError, count, pair
from support.waiting import wait_until_blocked


async def test_overlapping_insertions_take_their_locks_in_one_order(
    dsn: str, conn: Connection, db: Connection
) -> None:
    first, between, last = (UUID(int=n) for n in (1, 2, 3))
    holder, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    holding = holder.transaction()
    await holding.start()
    await pair(between).insert(conn=holder)
    upwards = asyncio.create_task(insert_all([pair(first), pair(between), pair(last)], conn=conn))
    await wait_until_blocked(dsn)
    downwards = asyncio.create_task(
        insert_all([pair(last), pair(between), pair(first)], conn=other)
    )
    await wait_until_blocked(dsn, 2)
    await holding.rollback()
    assert len(await upwards) == 6
    with pytest.raises(WorkflowExistsError):
        await downwards
    await holder.close()
    await other.close()
    assert await count(db) == 3


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("how", ["task", "scope"])
class TestCancellation:
    async def test_a_cancelled_insertion_is_undone(
        self, dsn: str, conn: Connection, db: Connection, joined: bool, how: str
    ) -> None:
        workflow_id = uuid4()
        holder = await asyncpg.connect(dsn)
        holding = holder.transaction()
        await holding.start()
        await pair(workflow_id).insert(conn=holder)
        if joined:
            await conn.execute("BEGIN")
        scope = anyio.CancelScope()

        async def insert() -> None:
            with scope:
                await insert_all([pair(), pair(workflow_id)], conn=conn)

        task = asyncio.create_task(insert())
        await wait_until_blocked(dsn)
        if how == "task":
            task.cancel()
        else:
            scope.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.done()
        assert task.cancelled() is (how == "task")
        assert conn.is_in_transaction() is joined
        await pair().insert(conn=conn)
        if joined:
            await conn.execute("COMMIT")
        await holding.rollback()
        await holder.close()
        assert await count(db) == 1


async def test_what_the_body_wrote_is_undone_when_it_raises(
    conn: Connection, db: Connection
) -> None:
    await db.execute("CREATE TABLE public.notes (n int)")

    async def undone() -> None:
        async with borrowed(conn, Sql("baton")) as connection:
            await connection.execute("INSERT INTO public.notes VALUES (1)")
            raise UndoError

    for joined in (False, True):
        if joined:
            await conn.execute("BEGIN")
        with pytest.raises(UndoError):
            await undone()
        async with borrowed(conn, Sql("baton")) as connection:
            await connection.execute("INSERT INTO public.notes VALUES (2)")
    await conn.execute("COMMIT")
    assert await db.fetchval("SELECT sum(n) FROM public.notes") == 4


@pytest.mark.parametrize("joined", [True, False])
async def test_a_cancellation_does_not_cut_the_commit_short(
    conn: Connection, db: Connection, joined: bool
) -> None:
    await db.execute("CREATE TABLE public.notes (n int)")
    if joined:
        await conn.execute("BEGIN")
    with anyio.CancelScope() as scope:
        async with borrowed(conn, Sql("baton")) as connection:
            await connection.execute("INSERT INTO public.notes VALUES (1)")
            scope.cancel()
    assert conn.is_in_transaction() is joined
    if joined:
        await conn.execute("COMMIT")
    assert await db.fetchval("SELECT sum(n) FROM public.notes") == 1
