"""SQLAlchemy's sessions over the connection of a step's transaction.

SQLAlchemy is imported when the first session is asked for: whoever asks has imported it already,
and nobody else waits for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from baton.words.argument_errors import MissingExtraError

if TYPE_CHECKING:  # SQLAlchemy need not be installed
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession


class Sessions:
    """Makes the sessions of one engine's steps."""

    def __init__(self) -> None:
        self._engine: AsyncEngine | None = None
        self._connection: ContextVar[object] = ContextVar("baton_step_connection")

    @asynccontextmanager
    async def over(
        self, connection: object, options: dict[str, Any]
    ) -> AsyncGenerator[AsyncSession, None]:
        """A session whose transactions are savepoints of the one that is open on this connection;
        when the block is left it is flushed.

        Raises MissingExtraError.
        """
        engine = self._made()
        # For the rest of the attempt, which has a context of its own: afterwards it refuses.
        self._connection.set(connection)
        session_class = import_module("sqlalchemy.ext.asyncio").AsyncSession
        async with session_class(engine, **options) as session:
            yield session
            await session.commit()

    def _made(self) -> AsyncEngine:
        if self._engine is not None:
            return self._engine
        try:
            make = import_module("sqlalchemy.ext.asyncio").create_async_engine
            no_pool = import_module("sqlalchemy.pool").NullPool
        except ImportError:
            raise MissingExtraError("sqlalchemy", "step.session() is SQLAlchemy's") from None
        engine: AsyncEngine = make(
            "postgresql+asyncpg://",
            async_creator=self._given,
            poolclass=no_pool,
            # Two sessions on one connection must not choose the same name.
            connect_args={"prepared_statement_name_func": lambda: f"baton_{uuid4().hex}"},
        )
        self._engine = engine
        return engine

    async def _given(self, **_: object) -> object:
        return self._connection.get()
