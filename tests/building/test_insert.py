"""Insertion through an engine's own pool: what is written, who is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from opentelemetry import context, trace

from baton import Baton, EngineSettings, Job, insert_all, subscribe
from baton.errors import WorkflowExistsError
from baton.schema import migrate
from baton.store import insertion
from baton.store.sql import Sql
from baton.store.store import Store, store_of
from baton.words.events import Event, WorkflowInserted
from baton.words.states import JobState
from support.inserting import (
    ODD,
    Client,
    Connection,
    Fetch,
    diamond,
    process,
)
from support.places import FIXTURES

OBAN = FIXTURES / "oban"


class TestRows:
    async def test_a_workflow_is_written(self, client: Client, db: Connection) -> None:
        workflow = diamond()
        jobs = await workflow.insert()
        row = await db.fetchrow("SELECT * FROM workflows")
        assert row is not None
        assert (row["id"], row["name"], row["steps"], row["outstanding"], row["failed"]) == (
            workflow.workflow_id,
            "ingest",
            4,
            4,
            0,
        )
        assert (row["debug"], row["trace_context"], row["finished_at"]) == (False, None, None)
        a, b, c, d = (job.id for job in jobs)
        nodes = await db.fetch(
            "SELECT job_id, workflow_id, name, deps, dependents, pending, ignore_cancelled,"
            " ignore_discarded, timeout, state, result, trace, model, debug"
            " FROM workflow_nodes ORDER BY job_id"
        )
        fresh = (None, None, None, None, False)
        assert [tuple(node) for node in nodes] == [
            (a, workflow.workflow_id, "a", [], [b, c], 0, False, False, None, *fresh),
            (b, workflow.workflow_id, "b", [a], [d], 1, True, False, None, *fresh),
            (c, workflow.workflow_id, "c", [a], [d], 1, False, False, 1.5, *fresh),
            (d, workflow.workflow_id, "d", [b, c], [], 2, False, True, None, *fresh),
        ]

    async def test_the_jobs_are_rows_of_oban(self, client: Client, db: Connection) -> None:
        workflow = diamond()
        jobs = await workflow.insert()
        rows = await db.fetch("SELECT * FROM oban_jobs ORDER BY id")
        assert [row["state"] for row in rows] == ["available", *["suspended"] * 3]
        assert [row["queue"] for row in rows] == ["io", "default", "default", "io"]
        assert [row["max_attempts"] for row in rows] == [4, 20, 20, 4]
        assert [row["priority"] for row in rows] == [1, 0, 0, 1]
        assert [row["tags"] for row in rows] == [["eu"], [], [ODD, "x"], ["eu"]]
        assert [json.loads(row["args"]) for row in rows] == [
            {"key": ODD},
            {"n": 1},
            {"n": 2},
            {"key": "k"},
        ]
        assert [json.loads(row["meta"]) for row in rows] == [
            {
                "workflow_id": str(workflow.workflow_id),
                "workflow_name": name,
                "workflow_label": "ingest",
            }
            for name in "abcd"
        ]
        for row, job in zip(rows, jobs, strict=True):
            assert job == Job(
                row["id"],
                workflow.workflow_id,
                json.loads(row["meta"])["workflow_name"],
                row["worker"],
                row["queue"],
                JobState(row["state"]),
            )
            assert (row["attempt"], json.loads(row["errors"]), row["attempted_at"]) == (0, [], None)
            assert row["inserted_at"] == row["scheduled_at"]

    async def test_times_are_naive_utc_by_the_databases_clock(
        self, client: Client, db: Connection
    ) -> None:
        at = datetime(2090, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
        past = datetime(2001, 1, 1, tzinfo=UTC)
        workflow = (
            Baton()
            .add("now", process.new(), schedule_in=0)
            .add("soon", process.new(), schedule_in=timedelta(days=2, microseconds=1))
            .add("at", process.new(), schedule_at=at)
            .add("past", process.new(), schedule_at=past)
            .add("later", process.new(), schedule_at=at, deps=["now"])
        )
        before = await db.fetchval("SELECT timezone('UTC', clock_timestamp())")
        jobs = await workflow.insert()
        after = await db.fetchval("SELECT timezone('UTC', clock_timestamp())")
        assert [job.state.value for job in jobs] == [
            "available",
            "scheduled",
            "scheduled",
            "available",
            "suspended",
        ]
        rows = await db.fetch("SELECT state, inserted_at, scheduled_at FROM oban_jobs ORDER BY id")
        assert [row["state"] for row in rows] == [job.state for job in jobs]
        inserted = {row["inserted_at"] for row in rows}
        assert len(inserted) == 1
        (now,) = inserted
        assert before <= now <= after
        assert [row["scheduled_at"] for row in rows] == [
            now,
            now + timedelta(days=2, microseconds=1),
            at.replace(tzinfo=None),
            past.replace(tzinfo=None),
            at.replace(tzinfo=None),
        ]
        assert await db.fetchval("SELECT timezone('UTC', inserted_at) FROM workflows") == now

    async def test_the_trace_context_travels(self, client: Client, db: Connection) -> None:
        span = trace.SpanContext(
            0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, False, trace.TraceFlags(1)
        )
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(span)))
        try:
            await Baton().add("a", process.new()).insert()
        finally:
            context.detach(token)
        expected = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        assert json.loads(await db.fetchval("SELECT trace_context FROM workflows")) == expected
        meta = json.loads(await db.fetchval("SELECT meta FROM oban_jobs"))
        assert meta["trace_context"] == expected
        assert set(meta) == {"workflow_id", "workflow_name", "trace_context"}

    async def test_ids_above_32_bits(self, client: Client, db: Connection) -> None:
        await db.execute("ALTER SEQUENCE oban_jobs_id_seq RESTART 3000000000")
        jobs = await diamond().insert()
        assert [job.id for job in jobs] == [3_000_000_000 + i for i in range(4)]
        assert await db.fetchval("SELECT dependents FROM workflow_nodes WHERE name = 'a'") == [
            3_000_000_001,
            3_000_000_002,
        ]

    async def test_odd_names_everywhere(self, client: Client, db: Connection) -> None:
        workflow = Baton(workflow_name=ODD).add(ODD, process.new(), queue=ODD)
        workflow.add("b", process.new(), deps=[ODD])
        await workflow.insert()
        row = await db.fetchrow("SELECT queue, meta FROM oban_jobs WHERE queue <> 'default'")
        assert row is not None
        meta = json.loads(row["meta"])
        assert (row["queue"], meta["workflow_name"], meta["workflow_label"]) == (ODD, ODD, ODD)

    @pytest.mark.parametrize("kind", ["oban_py", "elixir_v12", "elixir_v13", "elixir_v14"])
    async def test_on_the_tables_of_every_oban(self, empty_dsn: str, kind: str) -> None:
        sql = Sql('odd "schema" 1')
        db = await asyncpg.connect(empty_dsn)
        await db.execute(f"CREATE SCHEMA {sql.identifier}")
        await db.execute(sql.render((OBAN / f"{kind}.sql").read_text("utf-8")))
        await migrate(db, schema=sql.schema)
        client = Client(Store(empty_dsn, schema=sql.schema), EngineSettings())
        await client.database.open()
        jobs = await diamond().insert(engine=client)
        rows = await db.fetch(
            f"SELECT id, errors::text FROM {sql.identifier}.oban_jobs ORDER BY id"
        )
        assert [row["id"] for row in rows] == [job.id for job in jobs]
        assert {row["errors"] for row in rows} <= {"[]", "{}"}
        # Oban's own insertions go on behind ours.
        their_id = await db.fetchval(
            f"INSERT INTO {sql.identifier}.oban_jobs (worker) VALUES ('Theirs') RETURNING id"
        )
        assert their_id == jobs[-1].id + 1
        await client.database.close()
        await db.close()


class TestNotices:
    async def heard(self, db: Connection, insert: Callable[[], Awaitable[object]]) -> list[Any]:
        """The payloads on Oban's channel, in order."""
        received: asyncio.Queue[str] = asyncio.Queue()
        await db.add_listener(
            "baton.oban_insert", lambda *message: received.put_nowait(str(message[-1]))
        )
        await insert()
        await db.execute("SELECT pg_notify('baton.oban_insert', 'the end')")
        payloads: list[Any] = []
        async with asyncio.timeout(10):
            while (payload := await received.get()) != "the end":
                payloads.append(json.loads(payload))
        return payloads

    async def test_each_queue_with_something_to_run_is_woken_once(
        self, client: Client, db: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(insertion, "CHUNK_ROWS", 2)
        queues = ['q"1', "ü\\" * 60, "io"]
        workflow = Baton()
        for i, queue in enumerate(queues * 2):
            workflow.add(f"root{i}", process.new(), queue=queue)
        workflow.add("later", process.new(), queue="later", schedule_in=60)
        workflow.add("child", process.new(), queue="child", deps=["root0"])
        payloads = await self.heard(db, lambda: insert_all([workflow, diamond()]))
        assert sorted(payload["queue"] for payload in payloads) == sorted(queues)

    async def test_an_engine_without_notifications_sends_none(
        self, client: Client, db: Connection
    ) -> None:
        silent = Client(store_of(client), EngineSettings(notify=False))
        assert await self.heard(db, lambda: diamond().insert(engine=silent)) == []

    async def test_a_failed_insertion_wakes_nobody(self, client: Client, db: Connection) -> None:
        workflow = diamond()
        await workflow.insert()

        async def insert() -> None:
            with pytest.raises(WorkflowExistsError):
                await insert_all([diamond(), workflow])

        assert await self.heard(db, insert) == []


class TestEvents:
    async def test_an_insertion_is_told(self, client: Client) -> None:
        told: list[Event] = []
        unsubscribe = subscribe(told.append)
        try:
            first, second = diamond(), Baton().add("a", Fetch())
            await insert_all([first, second])
            with pytest.raises(WorkflowExistsError):
                await first.insert()
        finally:
            unsubscribe()
        assert told == [
            WorkflowInserted("default", first.workflow_id, "ingest", 4),
            WorkflowInserted("default", second.workflow_id, None, 1),
        ]
