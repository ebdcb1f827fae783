"""Connections that cannot be used are told, and leave no row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import PendingRollbackError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from baton.errors import ConnectionTypeError, DatabaseError, NoEngineError, SchemaMissingError
from baton.store import ambient
from support.borrowing import Client, Connection, count, engine_of, pair


@pytest.fixture
async def alchemy(dsn: str) -> AsyncIterator[AsyncEngine]:
    async with engine_of(dsn, poolclass=NullPool) as engine:
        yield engine


class Base(DeclarativeBase): ...


class Order(Base):
    """A row of a table that is not there."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


class TestUnusable:
    async def test_a_failed_transaction(self, conn: Connection, db: Connection) -> None:
        transaction = conn.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.DivisionByZeroError):
            await conn.execute("SELECT 1/0")
        with pytest.raises(DatabaseError, match="roll it back first"):
            await pair().insert(conn=conn)
        await transaction.rollback()
        await pair().insert(conn=conn)
        assert await count(db) == 1

    async def test_a_failed_sqlalchemy_transaction(
        self, alchemy: AsyncEngine, db: Connection
    ) -> None:
        async with AsyncSession(alchemy) as session:
            connection = await session.connection()
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await session.execute(text("SELECT 1"))
            with pytest.raises(asyncpg.DivisionByZeroError):
                await driver.execute("SELECT 1/0")
            with pytest.raises(DatabaseError, match="roll it back first"):
                await pair().insert(conn=session)
            await session.rollback()
            await pair().insert(conn=session)
            await session.commit()
        assert await count(db) == 1

    async def test_a_session_that_must_be_rolled_back(
        self, alchemy: AsyncEngine, db: Connection
    ) -> None:
        async with AsyncSession(alchemy) as session:
            session.add(Order(id=1))
            with pytest.raises(ProgrammingError):
                await session.flush()
            with pytest.raises(DatabaseError, match="cannot be used") as caught:
                await pair().insert(conn=session)
            assert isinstance(caught.value.__cause__, PendingRollbackError)
        assert await count(db) == 0

    async def test_a_closed_connection(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.close()
        with pytest.raises(DatabaseError, match="closed"):
            await pair().insert(conn=connection)

    async def test_a_connection_given_back_to_its_pool(self, dsn: str) -> None:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            async with pool.acquire() as connection:
                pass
            with pytest.raises(DatabaseError, match="cannot be used"):
                await pair().insert(conn=connection)

    async def test_a_sqlalchemy_connection_not_opened(self, alchemy: AsyncEngine) -> None:
        with pytest.raises(DatabaseError, match="cannot be used"):
            await pair().insert(conn=alchemy.connect())

    async def test_a_schema_that_is_not_there(self, conn: Connection, db: Connection) -> None:
        async with conn.transaction():
            with pytest.raises(SchemaMissingError):
                await pair().insert(conn=conn, engine=Client("elsewhere"))
            await pair().insert(conn=conn)
        assert await count(db) == 1


class OverAnotherDriver:
    """What SQLAlchemy's connection over psycopg looks like."""

    async def get_raw_connection(self) -> Any:
        class Raw:
            driver_connection = object()

        return Raw()


OverAnotherDriver.__module__ = "sqlalchemy.ext.asyncio.engine"


async def coroutine() -> None: ...


def sync_session() -> Session:
    return Session()


WRONG: list[tuple[str, Callable[[], Any], str]] = [
    ("text", lambda: "postgresql://localhost/x", "a DSN belongs to an engine"),
    ("number", lambda: 5, "expected an asyncpg connection"),
    ("object", object, "expected an asyncpg connection"),
    ("coroutine", coroutine, "an await is missing"),
    ("sync session", sync_session, "AsyncSession"),
    ("sync engine", lambda: create_engine("sqlite://"), "AsyncSession"),
    ("async engine", lambda: create_async_engine("postgresql+asyncpg://x"), "AsyncSession"),
    ("session class", lambda: AsyncSession, "expected an asyncpg connection"),
    ("other driver", OverAnotherDriver, "its driver is another one"),
]


@pytest.mark.parametrize(("what", "make", "told"), WRONG, ids=[what for what, _, _ in WRONG])
async def test_what_is_no_connection_is_told(what: str, make: Callable[[], Any], told: str) -> None:
    given = make()
    with pytest.raises(ConnectionTypeError, match=told) as caught:
        await pair().insert(conn=given)
    assert caught.value.given is given


async def test_a_pool_is_no_connection(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=0, max_size=1) as pool:
        with pytest.raises(ConnectionTypeError, match=r"pool\.acquire"):
            await pair().insert(conn=pool)  # type: ignore[arg-type]
        with pytest.raises(ConnectionTypeError, match="async with"):
            await pair().insert(conn=pool.acquire())  # type: ignore[arg-type]


class TestSchema:
    async def test_without_any_engine_it_is_public(self, conn: Connection, db: Connection) -> None:
        await pair().insert(conn=conn)
        assert await count(db) == 1

    async def test_with_an_engine_it_is_the_engines(self, conn: Connection) -> None:
        client = Client("elsewhere", name="one")
        ambient.enter(client)
        with pytest.raises(SchemaMissingError, match="elsewhere"):
            await pair().insert(conn=conn)
        ambient.leave(client)

    async def test_among_several_none_is_guessed(self, conn: Connection, db: Connection) -> None:
        clients = [Client("elsewhere", name=name) for name in ("one", "two")]

        async def enter() -> None:
            for client in clients:
                ambient.enter(client)

        await asyncio.create_task(enter())
        with pytest.raises(NoEngineError):
            await pair().insert(conn=conn)
        for client in clients:
            ambient.leave(client)
        assert await count(db) == 0
