"""Insertion joins the caller's transaction, whoever opened it and how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.pool import NullPool

from baton import insert_all
from baton.errors import WorkflowExistsError
from support.borrowing import Connection, Fetch, UndoError, count, engine_of, pair


@pytest.fixture
async def alchemy(dsn: str) -> AsyncIterator[AsyncEngine]:
    async with engine_of(dsn, poolclass=NullPool) as engine:
        yield engine


@asynccontextmanager
async def in_asyncpg(dsn: str) -> AsyncGenerator[Any, None]:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def begun_by_hand(dsn: str) -> AsyncGenerator[Any, None]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("BEGIN")
    try:
        yield connection
        await connection.execute("COMMIT")
    finally:
        await connection.close()


@asynccontextmanager
async def in_a_savepoint(dsn: str) -> AsyncGenerator[Any, None]:
    async with in_asyncpg(dsn) as connection, connection.transaction():
        yield connection


@asynccontextmanager
async def of_a_pool(dsn: str) -> AsyncGenerator[Any, None]:
    async with (
        asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield connection


@asynccontextmanager
async def session_begin(dsn: str) -> AsyncGenerator[Any, None]:
    async with engine_of(dsn) as engine, AsyncSession(engine) as session, session.begin():
        yield session


@asynccontextmanager
async def session_autobegin(dsn: str) -> AsyncGenerator[Any, None]:
    async with engine_of(dsn) as engine, AsyncSession(engine) as session:
        yield session
        await session.commit()


@asynccontextmanager
async def session_used_before(dsn: str) -> AsyncGenerator[Any, None]:
    async with session_autobegin(dsn) as session:
        await session.execute(text("SELECT 1"))
        yield session


@asynccontextmanager
async def session_nested(dsn: str) -> AsyncGenerator[Any, None]:
    async with session_begin(dsn) as session, session.begin_nested():
        yield session


class OwnSession(AsyncSession):
    """As SQLModel and applications derive one."""


@asynccontextmanager
async def own_session(dsn: str) -> AsyncGenerator[Any, None]:
    async with (
        engine_of(dsn) as engine,
        async_sessionmaker(engine, class_=OwnSession).begin() as session,
    ):
        yield session


@asynccontextmanager
async def scoped_session(dsn: str) -> AsyncGenerator[Any, None]:
    async with engine_of(dsn) as engine:
        session = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
        try:
            yield session
            await session.commit()
        finally:
            await session.remove()


@asynccontextmanager
async def alchemy_begin(dsn: str) -> AsyncGenerator[Any, None]:
    async with engine_of(dsn) as engine, engine.begin() as connection:
        yield connection


@asynccontextmanager
async def alchemy_autobegin(dsn: str) -> AsyncGenerator[Any, None]:
    async with engine_of(dsn) as engine, engine.connect() as connection:
        yield connection
        await connection.commit()


@asynccontextmanager
async def alchemy_serializable(dsn: str) -> AsyncGenerator[Any, None]:
    async with (
        engine_of(dsn, isolation_level="SERIALIZABLE") as engine,
        engine.begin() as connection,
    ):
        yield connection


OPEN: list[Any] = [
    in_asyncpg,
    begun_by_hand,
    in_a_savepoint,
    of_a_pool,
    session_begin,
    session_autobegin,
    session_used_before,
    session_nested,
    own_session,
    scoped_session,
    alchemy_begin,
    alchemy_autobegin,
    alchemy_serializable,
]


async def run_sql(connection: Any, sql: str) -> None:
    """Run a statement by the connection's own means."""
    if isinstance(connection, AsyncSession | AsyncConnection | async_scoped_session):
        await connection.execute(text(sql))
    else:
        await connection.execute(sql)


@pytest.mark.parametrize("opened", OPEN, ids=lambda opened: opened.__name__)
class TestOpenTransactions:
    async def test_the_rows_are_committed_with_it(
        self, dsn: str, db: Connection, opened: Callable[[str], Any]
    ) -> None:
        async with opened(dsn) as connection:
            jobs = await pair().insert(conn=connection)
            assert await count(db) == 0
        assert await count(db) == 1
        assert [job.id for job in jobs] == [
            row[0] for row in await db.fetch("SELECT id FROM baton.oban_jobs ORDER BY id")
        ]

    async def test_the_rows_are_rolled_back_with_it(
        self, dsn: str, db: Connection, opened: Callable[[str], Any]
    ) -> None:
        async def undone() -> None:
            async with opened(dsn) as connection:
                await pair().insert(conn=connection)
                raise UndoError

        with pytest.raises(UndoError):
            await undone()
        assert await count(db) == 0

    async def test_our_failure_leaves_it_usable(
        self, dsn: str, db: Connection, opened: Callable[[str], Any]
    ) -> None:
        exists = pair()
        await exists.insert(conn=db)
        await db.execute("CREATE TABLE public.orders (n int)")
        async with opened(dsn) as connection:
            await run_sql(connection, "INSERT INTO public.orders VALUES (1)")
            with pytest.raises(WorkflowExistsError):
                await insert_all([pair(), exists], conn=connection)
            await run_sql(connection, "INSERT INTO public.orders VALUES (2)")
            await pair().insert(conn=connection)
        assert await count(db) == 2
        assert await db.fetchval("SELECT sum(n) FROM public.orders") == 3

    async def test_a_database_error_leaves_it_usable(
        self, dsn: str, db: Connection, opened: Callable[[str], Any]
    ) -> None:
        await db.execute('ALTER TABLE baton.oban_jobs ADD CHECK (args <> \'{"key": "bad"}\')')
        async with opened(dsn) as connection:
            with pytest.raises(asyncpg.CheckViolationError):
                await pair().add("bad", Fetch(key="bad")).insert(conn=connection)
            await pair().insert(conn=connection)
        assert await count(db) == 1


class TestNoOpenTransaction:
    async def test_it_is_committed(self, conn: Connection, db: Connection) -> None:
        await pair().insert(conn=conn)
        assert not conn.is_in_transaction()
        assert await count(db) == 1

    async def test_a_failure_is_rolled_back(self, conn: Connection, db: Connection) -> None:
        exists = pair()
        await exists.insert(conn=conn)
        with pytest.raises(WorkflowExistsError):
            await insert_all([pair(), exists], conn=conn)
        assert not conn.is_in_transaction()
        assert await count(db) == 1

    async def test_a_sqlalchemy_connection_in_autocommit(
        self, alchemy: AsyncEngine, db: Connection
    ) -> None:
        async with alchemy.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await pair().insert(conn=connection)
            assert await count(db) == 1
            workflow = pair()
            await workflow.insert(conn=connection)
            with pytest.raises(WorkflowExistsError):
                await workflow.insert(conn=connection)
        assert await count(db) == 2


async def session_of(request: Request) -> AsyncGenerator[AsyncSession, None]:
    """The transaction of a request: committed with its answer, rolled back with its error."""
    async with request.app.state.sessions.begin() as session:
        yield session


RequestSession = Annotated[AsyncSession, Depends(session_of)]


async def test_a_web_request_inserts_in_its_own_transaction(
    alchemy: AsyncEngine, db: Connection
) -> None:
    await db.execute("CREATE TABLE public.orders (id uuid PRIMARY KEY)")
    app = FastAPI()
    app.state.sessions = async_sessionmaker(alchemy)

    @app.post("/orders/{order_id}")
    async def create(order_id: UUID, session: RequestSession, fail: bool = False) -> dict[str, str]:
        await session.execute(text("INSERT INTO public.orders VALUES (:id)"), {"id": order_id})
        workflow = pair(order_id)
        jobs = await workflow.insert(conn=session)
        if fail:
            raise HTTPException(409)
        return {"workflow": str(workflow.workflow_id), "first": jobs[0].state}

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as web:
        kept, dropped = uuid4(), uuid4()
        answer = await web.post(f"/orders/{kept}")
        assert answer.json() == {"workflow": str(kept), "first": "available"}
        assert (await web.post(f"/orders/{dropped}?fail=true")).status_code == 409
        answers = await asyncio.gather(*(web.post(f"/orders/{uuid4()}") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
    assert await count(db) == 6
    orders = await db.fetch("SELECT id FROM public.orders EXCEPT SELECT id FROM baton.workflows")
    assert orders == []
    assert await db.fetchval("SELECT count(*) FROM public.orders") == 6
