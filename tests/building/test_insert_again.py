"""A builder whose workflow was inserted takes no more steps; one whose insertion failed does."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from baton import Baton, Engine, insert_all
from baton.errors import (
    EngineStateError,
    UnknownDependencyError,
    WorkflowExistsError,
    WorkflowInsertedError,
)
from support.inserting import counts, opened_client, process, session
from support.race import race


async def test_a_step_added_too_late_is_refused(dsn: str) -> None:
    first, second = (Baton().add("a", process.new()) for _ in range(2))
    async with opened_client(dsn):
        await insert_all(workflow for workflow in (first, second))
    for workflow in (first, second):
        with pytest.raises(WorkflowInsertedError, match="build a new one") as caught:
            workflow.add("b", process.new(), deps=["a"])
        assert (caught.value.workflow_id, caught.value.step) == (workflow.workflow_id, "b")
        assert workflow.step_names == ("a",)


async def test_a_failed_insertion_leaves_the_builder_usable(dsn: str) -> None:
    taken = Baton(UUID(int=7)).add("a", process.new())
    workflow = Baton(UUID(int=7)).add("a", process.new(), deps=["b"])
    stopped = Engine(dsn)
    async with opened_client(dsn), session(dsn) as db:
        with pytest.raises(UnknownDependencyError):
            await workflow.insert()
        workflow.add("b", process.new())
        with pytest.raises(EngineStateError):
            await workflow.insert(engine=stopped)
        workflow.add("c", process.new())
        await taken.insert()
        for _ in range(2):
            with pytest.raises(WorkflowExistsError):
                await workflow.insert()
        workflow.add("d", process.new())
        await db.execute("DELETE FROM workflows; DELETE FROM workflow_nodes; DELETE FROM oban_jobs")
        await workflow.insert()
        assert await counts(db) == (1, 4, 4)
        with pytest.raises(WorkflowInsertedError):
            workflow.add("e", process.new())


async def test_after_a_rollback_it_may_be_inserted_again_as_it_is(dsn: str) -> None:
    workflow = Baton().add("a", process.new())
    connection = await asyncpg.connect(dsn)
    async with session(dsn) as db:
        transaction = connection.transaction()
        await transaction.start()
        await workflow.insert(conn=connection)
        await transaction.rollback()
        assert await counts(db) == (0, 0, 0)
        with pytest.raises(WorkflowInsertedError):
            workflow.add("b", process.new())
        await workflow.insert(conn=connection)
        assert await counts(db) == (1, 1, 1)
        with pytest.raises(WorkflowExistsError):
            await workflow.insert(conn=connection)
    await connection.close()


async def test_a_step_added_while_it_is_inserted_is_refused(dsn: str) -> None:
    """Whether the insertion comes through, here behind a lock, or fails, here in `taken`."""
    workflow, taken = (Baton(UUID(int=7)).add("a", process.new()) for _ in range(2))
    async with opened_client(dsn), race(dsn) as held, session(dsn) as db:
        await held.winner.execute("LOCK TABLE baton.workflows IN SHARE MODE")
        inserting = [await held.behind(workflow.insert()), await held.behind(taken.insert())]
        for builder in (workflow, taken):
            with pytest.raises(WorkflowInsertedError):
                builder.add("b", process.new())
        await held.rollback()
        failed = await asyncio.gather(*inserting, return_exceptions=True)
        assert [type(outcome) for outcome in failed].count(WorkflowExistsError) == 1
        assert await counts(db) == (1, 1, 1)
        inserted = 0 if isinstance(failed[1], WorkflowExistsError) else 1
        (taken, workflow)[inserted].add("b", process.new())
        with pytest.raises(WorkflowInsertedError):
            (workflow, taken)[inserted].add("b", process.new())
