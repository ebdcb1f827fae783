"""What is read on a large database stays in proportion to what is asked for: EXPLAIN of every query
of the insights and of the engine's, as they are really called, finished jobs all around.

BATON_TEST_JOBS sets how many; 1,000,000 of them take minutes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest

from baton.errors import UnknownStepError, UnknownWorkflowError
from baton.insights import Insights
from baton.store import insights as store
from baton.store.completions import read_completions
from baton.store.database import database_of
from baton.store.jobs import find_orphans, stage_jobs
from baton.store.store import Store
from support.databases import create_database, drop_database, run_apart

pytestmark = pytest.mark.timeout(600)

JOBS = int(os.environ.get("BATON_TEST_JOBS", "200000"))
STEPS = 4
OPEN = 100

# A node of a plan may go through as many rows as belong to what is asked for: a page, the open
# jobs, the engines. The look of a filtered page is the most.
LIMIT = 12_000
assert LIMIT < JOBS / STEPS / 2

# Every tenth workflow has failed or was cancelled, one of ten thousand is rare.
_WORKFLOWS = """
INSERT INTO baton.workflows (
    id, name, steps, outstanding, failed, inserted_at, finished_at, tags, attributes
)
SELECT gen_random_uuid(), CASE WHEN g % 10000 = 0 THEN 'rare' ELSE 'common' END, {steps}, 0,
    (g % 10 = 0)::integer, now() - g * interval '1 second', now(),
    CASE WHEN g % 10000 = 0 THEN '{{rare}}' WHEN g % 2 = 0 THEN '{{common}}' END::text[],
    CASE WHEN g % 10000 = 0 THEN '{{"of": "rare"}}' WHEN g % 2 = 0 THEN '{{"of": "all"}}' END::jsonb
FROM generate_series(1, $1::integer) AS g
"""
_COMPLETIONS = """
INSERT INTO baton.workflow_completions
SELECT id, 1, name,
    CASE WHEN failed = 0 THEN 'completed' WHEN id < gen_random_uuid() THEN 'failed'
        ELSE 'cancelled' END,
    '{{}}', '{{}}', failed, steps, inserted_at, finished_at
FROM baton.workflows
"""
_JOBS = """
INSERT INTO baton.oban_jobs (
    state, queue, worker, attempt, attempted_at, attempted_by, completed_at, meta
)
SELECT 'completed', 'default', 'w', 1, timezone('UTC', now()), ARRAY['n', 'e', 'baton'],
    timezone('UTC', now()), jsonb_build_object('workflow_id', w.id, 'workflow_name', s)
FROM baton.workflows w, generate_series(1, {steps}) AS s
"""
_NODES = """
INSERT INTO baton.workflow_nodes (job_id, workflow_id, name, state, result)
SELECT j.id, (j.meta ->> 'workflow_id')::uuid, j.meta ->> 'workflow_name', 'completed',
    '{{"value":1}}'
FROM baton.oban_jobs j
"""
# Older than all others, so that a page of running workflows lies behind them.
_OPEN = """
WITH workflows AS (
    INSERT INTO baton.workflows (id, name, steps, outstanding, inserted_at)
    SELECT gen_random_uuid(), 'open', 5, 5, now() - interval '1 year'
    FROM generate_series(1, {open})
    RETURNING id
),
jobs AS (
    INSERT INTO baton.oban_jobs (
        state, queue, worker, scheduled_at, attempted_at, attempted_by, meta
    )
    SELECT s.state::baton.oban_job_state, 'default', 'w',
        timezone('UTC', now()) - CASE WHEN s.state = 'available' THEN interval '5 s'
            ELSE interval '-1 hour' END,
        timezone('UTC', now()), ARRAY['n', 'e', 'baton'],
        jsonb_build_object('workflow_id', w.id, 'workflow_name', s.state)
    FROM workflows w, unnest('{{available,suspended,scheduled,executing,retryable}}'::text[])
        AS s (state)
    RETURNING id, meta
)
INSERT INTO baton.workflow_nodes (job_id, workflow_id, name)
SELECT j.id, (j.meta ->> 'workflow_id')::uuid, j.meta ->> 'workflow_name' FROM jobs j
"""
_ENGINES = """
INSERT INTO baton.baton_engines (id, name, node, rescue_after)
SELECT gen_random_uuid(), 'e' || g, 'n', 60 FROM generate_series(1, 5) AS g
"""


class Statement(NamedTuple):
    text: str
    args: tuple[Any, ...]
    settings: str = ""
    """What its transaction had set before."""


class Watched(Store):
    """A database that keeps what it is asked."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, pool_size=2, command_timeout=120)
        self.asked: list[Statement] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        settings = ""

        def keep(record: Any) -> None:
            nonlocal settings
            if record.query.startswith(("BEGIN", "COMMIT")):
                settings = ""
            elif record.query.startswith("SET LOCAL"):
                settings = record.query
            self.asked.append(Statement(record.query, tuple(record.args or ()), settings))

        async with super().connection() as connection:
            with connection.query_logger(keep):
                yield connection

    def named(self) -> dict[str, list[Statement]]:
        """What was asked, by the name of the query."""
        names = {self.sql(path.stem): path.stem for path in QUERIES.glob("*.sql")}
        found: dict[str, list[Statement]] = {}
        for statement in self.asked:
            if statement.text in names:
                found.setdefault(names[statement.text], []).append(statement)
        return found


QUERIES = Path(store.__file__).parent / "queries"


def queries_of(module: Any) -> set[str]:
    """The names of the queries that a module of the store uses."""
    stems = {path.stem for path in QUERIES.glob("*.sql")}
    source = Path(module.__file__).read_text("utf-8")
    return stems & set(re.findall(r'"(\w+)"', source))


class Node(NamedTuple):
    """One node of a plan with what it really did."""

    kind: str
    relation: str
    by: str
    rows: float
    """Rows it went through, those it threw away included, over all its loops."""


def nodes(plan: dict[str, Any]) -> Iterator[Node]:
    loops = plan["Actual Loops"]
    through = plan["Actual Rows"] + sum(
        plan.get(f"Rows Removed by {by}", 0) for by in ("Filter", "Index Recheck", "Join Filter")
    )
    yield Node(
        plan["Node Type"],
        plan.get("Relation Name", ""),
        plan.get("Index Name", ""),
        through * loops,
    )
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def faults(plan: dict[str, Any]) -> list[Node]:
    """Sequential scans, but of the few engines; and whatever goes through too many rows."""
    return [
        node
        for node in nodes(plan)
        if (node.kind == "Seq Scan" and node.relation != "baton_engines") or node.rows > LIMIT
    ]


async def explain(
    connection: asyncpg.Connection[Any], statement: Statement, *, generic: bool
) -> dict[str, Any]:
    """The plan of a statement, run and undone: for its arguments, or one for any."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement.settings or "SELECT")
        how = "EXPLAIN (ANALYZE, FORMAT JSON) "
        if not generic:
            text = await connection.fetchval(how + statement.text, *statement.args)
        else:
            types = [t.name for t in (await connection.prepare(statement.text)).get_parameters()]
            literals = [
                await connection.fetchval(f"SELECT quote_nullable($1::{kind}::text)", arg)
                for kind, arg in zip(types, statement.args, strict=True)
            ]
            taking = f" ({', '.join(types)})" if types else ""
            given = f" ({', '.join(literals)})" if literals else ""
            await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            await connection.execute(f"PREPARE explained{taking} AS {statement.text}")
            text = await connection.fetchval(f"{how} EXECUTE explained{given}")
            await connection.execute("DEALLOCATE explained")
    finally:
        await transaction.rollback()
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


async def claiming(connection: asyncpg.Connection[Any]) -> Statement:
    """The part of baton_settle_and_claim that looks for jobs to claim."""
    row = await connection.fetchrow(
        "SELECT prosrc, proconfig FROM pg_proc"
        " WHERE proname = 'baton_settle_and_claim' AND pronamespace = 'baton'::regnamespace"
    )
    assert row is not None
    (found,) = re.findall(
        r"WITH locked AS MATERIALIZED \(\s*(SELECT .*?SKIP LOCKED)\s*\)", row["prosrc"], re.DOTALL
    )
    assert "p_queues[i]" in found
    assert "v_room" in found
    text = found.replace("p_queues[i]", "$1::text").replace("v_room", "$2::integer")
    text = text.replace("p_left_out", "$3::bigint[]")
    enabled = [f"SET LOCAL {one}" for one in row["proconfig"] if one.startswith("enable_")]
    return Statement(text, ("default", 50, []), "; ".join(enabled))


async def ask(database: Watched) -> None:
    """Every question, in every form that leads to another plan."""
    look = Insights(database_of(database))
    for state in (None, "running", "completed", "failed", "cancelled"):
        for label in (None, "common", "rare"):
            page = await look.workflows(state, label, limit=20)
            if page.next:
                await look.workflows(state, label, limit=20, after=page.next)
    for chosen in ({"tags": ["rare"]}, {"attributes": {"of": "rare"}}):
        for state in (None, "running", "completed", "failed", "cancelled"):
            rare = await look.workflows(state, limit=20, **chosen)
            assert rare.next is None
        await look.workflows(None, "rare", limit=2, **chosen)
    await look.workflows(limit=20, tags=["common"])
    await look.workflows("failed", limit=20, tags=["common"], attributes={"of": "all"})
    while page.next:
        page = await look.workflows("running", after=page.next, limit=200)
    async with database.connection() as connection:
        opened = await connection.fetchval("SELECT id FROM baton.workflows WHERE name = 'open'")
    ended = (await look.workflows("completed", limit=1)).rows[0].workflow_id
    for workflow_id in (opened, ended):
        await look.workflow(workflow_id)
        steps = await look.steps(workflow_id, limit=2)
        assert steps.next
        await look.steps(workflow_id, after=steps.next)
        for step in steps.rows:
            await look.why(workflow_id, step.name)
    await look.why(opened, "available")
    with pytest.raises(UnknownStepError):
        await look.why(opened, "nobody")
    with pytest.raises(UnknownWorkflowError):
        await look.steps(uuid4())
    await look.queues()
    await look.engines()
    await store.count_open_waits(database)
    await read_completions(database, [(opened, 0), (ended, 1)])
    await stage_jobs(database, 5_000, notify=False)
    await find_orphans(
        database,
        rescue_after=60.0,
        engine=uuid4(),
        known=[],
        lost_after=60.0,
        foreign_after=60.0,
        after=0,
        limit=500,
    )


@pytest.fixture(scope="module")
def large(server: str, template: str) -> Iterator[str]:
    """DSN of a database with many finished jobs and some open ones, never analysed."""

    async def prepare() -> str:
        dsn = await create_database(server, template)
        connection = await asyncpg.connect(dsn)
        tables = "oban_jobs workflow_nodes workflows workflow_completions baton_engines"
        for table in tables.split():
            await connection.execute(f"ALTER TABLE baton.{table} SET (autovacuum_enabled = false)")
        await connection.execute(_WORKFLOWS.format(steps=STEPS), JOBS // STEPS)
        for statement in (_COMPLETIONS, _JOBS, _NODES, _OPEN, _ENGINES):
            await connection.execute(statement.format(steps=STEPS, open=OPEN))
        await connection.close()
        return dsn

    dsn = run_apart(prepare())
    yield dsn
    run_apart(drop_database(server, dsn))


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[Watched]:
    database = Watched(dsn)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def wrong_plans(
    connection: asyncpg.Connection[Any], asked: dict[str, list[Statement]]
) -> dict[str, list[Node]]:
    """The faults of each query's plans, by name, arguments and kind of plan."""
    found: dict[str, list[Node]] = {}
    for name, statements in asked.items():
        for statement in statements:
            for generic in (False, True):
                plan = await explain(connection, statement, generic=generic)
                if wrong := faults(plan):
                    found[f"{name}{statement.args} {generic=}"] = wrong
    return found


async def test_no_query_goes_through_what_has_finished(large: str) -> None:
    async with watched(large) as database:
        await ask(database)
        asked = database.named()
        engines = {"read_completions", "stage_jobs", "find_orphans", "find_missing_workflows"}
        expected = queries_of(store) | engines
        assert expected <= set(asked)
        async with database.connection() as connection:
            asked["claim"] = [await claiming(connection)]
            assert await wrong_plans(connection, asked) == {}
            await connection.execute("ANALYZE")
            assert await wrong_plans(connection, asked) == {}


async def test_jobs_of_settled_steps_are_not_looked_for(large: str) -> None:
    async with watched(large) as database:
        look = Insights(database_of(database))
        (ended,) = (await look.workflows("completed", limit=1)).rows
        assert (await look.workflow(ended.workflow_id)).counts.completed == STEPS
        (asked,) = database.named()["read_workflow"]
        async with database.connection() as connection:
            plan = await explain(connection, asked, generic=True)
        assert [node.rows for node in nodes(plan) if node.relation == "oban_jobs"] == [0]
        assert [node.rows for node in nodes(plan) if node.relation == "workflow_nodes"] == [STEPS]


async def test_a_query_that_goes_through_it_is_seen(large: str) -> None:
    naive = {
        "unbounded": "SELECT count(*) FROM baton.workflows WHERE outstanding > 0",
        "filtered": "SELECT FROM baton.oban_jobs WHERE id > 0 AND (state = 'executing') IS TRUE"
        " ORDER BY id LIMIT 500",
    }
    asked = {name: [Statement(text, ())] for name, text in naive.items()}
    async with watched(large) as database, database.connection() as connection:
        await connection.execute("ANALYZE")
        found = await wrong_plans(connection, asked)
        assert {name.partition("(")[0] for name in found} == set(naive)
        await ask(database)
        asked = {name: database.named()[name] for name in ("list_workflows", "count_queues")}
        dropping = connection.transaction()
        await dropping.start()
        await connection.execute(
            "DROP INDEX baton.workflows_inserted_index,"
            " baton.oban_jobs_state_queue_priority_scheduled_at_id_index"
        )
        found = await wrong_plans(connection, asked)
        await dropping.rollback()
        assert {name.partition("(")[0] for name in found} == set(asked)
