"""Insertion is all or nothing, and once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, EngineSettings, insert_all
from baton.errors import (
    BatonError,
    DatabaseError,
    NotStorableError,
    SchemaMissingError,
    UnavailableError,
    WorkflowExistsError,
)
from baton.handles.draft import draft_of
from baton.store import insertion
from baton.store.insertion import insert_through
from baton.store.store import Store, store_of
from support.inserting import (
    Client,
    Connection,
    Fetch,
    counts,
    diamond,
    process,
)


class TestAllOrNothing:
    async def test_many_workflows_in_one_transaction(self, client: Client, db: Connection) -> None:
        workflows = [diamond() for _ in range(5)]
        jobs = await insert_all(workflows)
        assert [job.workflow_id for job in jobs] == [
            w.workflow_id for w in workflows for _ in range(4)
        ]
        assert [job.name for job in jobs] == list("abcd") * 5
        assert await counts(db) == (5, 20, 20)
        assert await db.fetchval("SELECT count(DISTINCT xmin::text) FROM workflow_nodes") == 1
        assert await insert_all([]) == []

    async def test_a_workflow_exists_only_once(self, client: Client, db: Connection) -> None:
        workflow = diamond()
        await workflow.insert()
        for again in (workflow, Baton(workflow.workflow_id).add("z", Fetch())):
            with pytest.raises(WorkflowExistsError) as caught:
                await insert_all([diamond(), again])
            assert caught.value.workflow_id == workflow.workflow_id
        assert await counts(db) == (1, 4, 4)

    async def test_two_insertions_of_one_workflow_at_once(
        self, client: Client, db: Connection
    ) -> None:
        workflow_id = uuid4()
        results = await asyncio.gather(
            *(diamond(workflow_id).insert() for _ in range(4)), return_exceptions=True
        )
        assert sum(isinstance(result, list) for result in results) == 1
        assert sum(isinstance(result, WorkflowExistsError) for result in results) == 3
        assert await counts(db) == (1, 4, 4)

    async def test_overlapping_insertions_do_not_deadlock(
        self, client: Client, db: Connection
    ) -> None:
        ids = [uuid4() for _ in range(20)]
        for _ in range(5):
            await db.execute("TRUNCATE workflows, workflow_nodes, oban_jobs")
            orders = [ids, ids[::-1], ids[1::2] + ids[::2], ids[10:] + ids[:10]]
            results = await asyncio.gather(
                *(insert_all([diamond(i) for i in order]) for order in orders),
                return_exceptions=True,
            )
            assert sum(isinstance(result, list) for result in results) == 1
            assert sum(isinstance(result, WorkflowExistsError) for result in results) == 3
            assert await counts(db) == (20, 80, 80)

    @pytest.mark.parametrize("rows", [1, 3, 4, 5_000])
    async def test_chunks_make_no_difference(
        self, client: Client, db: Connection, monkeypatch: pytest.MonkeyPatch, rows: int
    ) -> None:
        monkeypatch.setattr(insertion, "CHUNK_ROWS", rows)
        await insert_all([diamond(), diamond(), diamond()])
        assert await counts(db) == (3, 12, 12)
        assert await db.fetchval("SELECT sum(cardinality(dependents)) FROM workflow_nodes") == 12

    async def test_chunks_are_bounded_in_bytes(
        self, client: Client, db: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(insertion, "CHUNK_BYTES", 1)
        await diamond().insert()
        statements = await db.fetchval("SELECT count(DISTINCT cmin::text) FROM workflow_nodes")
        assert statements == 4

    async def test_a_failing_chunk_leaves_nothing(
        self, client: Client, db: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(insertion, "CHUNK_ROWS", 2)
        await db.execute(
            "ALTER TABLE oban_jobs ADD CONSTRAINT refused CHECK (args <> '{\"n\": 13}')"
        )
        workflow = diamond().add("e", process.new(n=13))
        with pytest.raises(DatabaseError, match="CheckViolationError"):
            await workflow.insert()
        assert await counts(db) == (0, 0, 0)
        await db.execute("ALTER TABLE oban_jobs DROP CONSTRAINT refused")
        assert len(await workflow.insert()) == 5

    async def test_a_text_that_would_break_the_columns_is_refused(
        self, client: Client, db: Connection
    ) -> None:
        workflow = draft_of(Baton().add("a", process.new()).add("b", process.new())).prepared()
        first, second = workflow.steps
        broken = replace(workflow, steps=(replace(first, queue="x\x1fy"), second))
        with pytest.raises(NotStorableError):
            await insert_through(store_of(client), [broken], notify=True)
        assert await counts(db) == (0, 0, 0)


def self_dependency() -> Baton:
    return Baton().add("a", Fetch(), deps=["a"])


BAD: list[tuple[str, Callable[[], Awaitable[object]]]] = [
    ("no steps", lambda: Baton().insert()),
    ("cycle", lambda: self_dependency().insert()),
    ("unknown dependency", lambda: diamond().add("e", Fetch(), deps=["é"]).insert()),
    ("duplicate name", lambda: diamond().add("a", Fetch()).insert()),
    ("unnormalised name", lambda: diamond().add("e\u0301", Fetch()).insert()),
    ("bad job", lambda: diamond().add("e", Fetch).insert()),  # type: ignore[arg-type]
    ("bad arguments", lambda: diamond().add("e", Fetch(key=5)).insert()),
    ("NUL", lambda: diamond().add("e", Fetch(key="\0")).insert()),
    ("surrogate", lambda: diamond().add("e", Fetch(key="\ud800")).insert()),
    ("huge", lambda: diamond().add("e", Fetch(key="x" * 2_000_000)).insert()),
    ("bad option", lambda: diamond().add("e", Fetch(), priority=10**10).insert()),
    ("bad schedule", lambda: diamond().add("e", Fetch(), schedule_in=10**12).insert()),
    ("bad engine", lambda: diamond().insert(engine="other")),
    ("bad connection", lambda: diamond().insert(conn="postgresql://")),  # type: ignore[arg-type]
    ("one bad of several", lambda: insert_all([diamond(), self_dependency()])),
    ("no workflow", lambda: insert_all([diamond(), None])),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("what", "insert"), BAD, ids=[what for what, _ in BAD])
async def test_bad_input_is_a_typed_error_and_no_row(
    client: Client, db: Connection, what: str, insert: Callable[[], Awaitable[object]]
) -> None:
    with pytest.raises(BatonError):
        await insert()
    assert await counts(db) == (0, 0, 0)
    assert await db.fetchval("SELECT is_called FROM oban_jobs_id_seq") is False


class LosingReplies(Store):
    """Loses the connection at the end of transactions, before or after the commit."""

    losses: list[str]

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection, None]:
        loss = self.losses.pop(0) if self.losses else ""
        async with super().transaction() as connection:
            yield connection
            if loss == "before":
                raise asyncpg.ConnectionDoesNotExistError("lost before the commit")
        if loss == "after":
            raise asyncpg.ConnectionDoesNotExistError("lost after the commit")


class TestLostConnections:
    @pytest.mark.parametrize(
        "losses", [["before"], ["after"], ["before", "after"], ["before", "before", "after"]]
    )
    async def test_an_insertion_is_found_again(
        self, dsn: str, db: Connection, losses: list[str]
    ) -> None:
        database = LosingReplies(dsn)
        database.losses = list(losses)
        await database.open()
        workflows = [diamond(), diamond()]
        jobs = await insert_all(workflows, engine=Client(database, EngineSettings()))
        assert database.losses == []
        assert await counts(db) == (2, 8, 8)
        stored = await db.fetch(
            "SELECT job_id, workflow_id, name FROM workflow_nodes ORDER BY job_id"
        )
        assert [(job.id, job.workflow_id, job.name) for job in jobs] == [
            tuple(row) for row in stored
        ]
        await database.close()

    async def test_the_insertion_of_another_is_not_taken_for_ours(
        self, dsn: str, db: Connection
    ) -> None:
        database = LosingReplies(dsn)
        await database.open()
        client = Client(database, EngineSettings())
        database.losses = []
        workflow = diamond()
        await workflow.insert(engine=client)
        database.losses = ["after"]
        with pytest.raises(WorkflowExistsError):
            await workflow.insert(engine=client)
        assert await counts(db) == (1, 4, 4)
        await database.close()

    async def test_a_database_out_of_reach(self, dsn: str, db: Connection) -> None:
        database = LosingReplies(dsn)
        await database.open()
        database.losses = ["before"] * 100
        with pytest.raises(UnavailableError):
            await diamond().insert(engine=Client(database, EngineSettings()))
        assert await counts(db) == (0, 0, 0)
        await database.close()

    async def test_a_schema_that_is_not_there(self, dsn: str) -> None:
        database = Store(dsn, schema="elsewhere")
        await database.open()
        with pytest.raises(SchemaMissingError) as caught:
            await diamond().insert(engine=Client(database, EngineSettings()))
        assert caught.value.schema == "elsewhere"
        await database.close()
