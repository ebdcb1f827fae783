"""SQLAlchemy's sessions in a step's own transaction."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from baton import Baton, Discard, Step
from baton.errors import StepTransactionError
from baton.store import step_sessions
from support.effects import acting, effects, job_of, with_effects


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"
    __table_args__ = {"schema": "public"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    who: Mapped[str]


async def write(step: Step) -> int:
    async with step.session() as session:
        session.add(Effect(who="a"))
        found = await session.scalar(select(func.count()).select_from(Effect))
        assert found is not None
        assert await session.scalar(text("""SELECT '{"x": [1]}'::jsonb""")) == {"x": [1]}
    return found


async def test_what_is_added_is_committed_with_the_step(dsn: str) -> None:
    async with with_effects(dsn) as run:
        for _ in range(3):
            await run.completed(acting(write))
        assert await effects(run) == ["a"] * 3


async def test_what_is_only_added_is_flushed(dsn: str) -> None:
    async def add(step: Step) -> None:
        async with step.session(expire_on_commit=False) as session:
            session.add(Effect(who="a"))

    async with with_effects(dsn) as run:
        await run.completed(acting(add))
        assert await effects(run) == ["a"]


async def test_a_failure_rolls_back_what_the_session_committed(dsn: str) -> None:
    async def commit(step: Step) -> Any:
        async with step.session() as session:
            session.add(Effect(who="kept"))
            await session.commit()
            session.add(Effect(who="undone"))
            await session.flush()
            await session.rollback()
            async with session.begin_nested():
                session.add(Effect(who="nested"))
        return Discard("no") if step.attempt == step.max_attempts == 1 else 1

    async with with_effects(dsn) as run:
        await run.workflow(acting(commit, max_attempts=1))
        assert await effects(run) == []
        await run.completed(acting(commit))
        assert await effects(run) == ["kept", "nested"]


async def test_a_refused_flush_is_raised_in_the_block(dsn: str) -> None:
    async def twice(step: Step) -> str:
        try:
            async with step.session() as session:
                session.add(Effect(id=1, who="a"))
                await session.flush()
                session.expunge_all()
                session.add(Effect(id=1, who="b"))
        except IntegrityError:
            return "caught"
        return "not seen"

    async with with_effects(dsn) as run:
        workflow = acting(twice)
        await run.completed(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("a") == "caught"
        assert await effects(run) == []


async def test_no_statement_after_the_block(dsn: str) -> None:
    kept: list[AsyncSession] = []

    async def late(step: Step) -> None:
        async with step.session() as session:
            session.add(Effect(who="a"))
        kept.append(session)
        await session.execute(text("SELECT 1"))

    async with with_effects(dsn) as run:
        workflow = acting(late, max_attempts=1)
        await run.workflow(workflow)
        error = (await run.tables.step(workflow, "a")).error or ""
        assert StepTransactionError.__name__ in error
        assert await effects(run) == []
    for session in kept:
        await session.close()


async def test_a_workflow_inserted_through_it(dsn: str) -> None:
    child = Baton(workflow_name="child").add("only", job_of(write))

    async def parent(step: Step) -> None:
        async with step.session() as session:
            await child.insert(conn=session)

    async with with_effects(dsn) as run:
        await run.completed(acting(parent))
        await run.end(child)
        assert await effects(run) == ["a"]


async def test_without_sqlalchemy_it_says_what_to_install(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(step_sessions, "import_module", missing)
    async with with_effects(dsn) as run:
        workflow = acting(write, max_attempts=1)
        await run.workflow(workflow)
        error = (await run.tables.step(workflow, "a")).error or ""
        assert "pip install 'baton-workflows[sqlalchemy]'" in error
