"""Through a pooler that lends any session to each transaction and refuses settings at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from baton import (
    Baton,
    Cancel,
    Database,
    Engine,
    Plugin,
    Step,
    insert_all,
    schema,
    send_event,
    worker,
)
from baton.engine import EngineOptions
from baton.store.store import store_of
from baton.words.events import StepCompleted, StepExecuting
from support.databases import execute
from support.pooling import Pooler, pooled
from support.running import fast, opened, recorded
from support.waiting import DEADLINE, eventually

POLLING: EngineOptions = {"poll_interval": 0.02, "rescue_interval": 0.05, "heartbeat_interval": 0.1}
ONE_BY_ONE: EngineOptions = {**POLLING, "settlers": 1}
HOT = "baton_settle_and_claim("


@worker
async def adds(step: Step) -> int:
    given = await step.results()
    return 1 + sum(value for value in given.values() if isinstance(value, int))


@worker(max_attempts=2, backoff=lambda _: 0.0)
async def fails(step: Step) -> None:
    raise ValueError("no")


@pytest.fixture
async def pooler(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Pooler]:
    """Before a database whose default isolation is the parameter."""
    isolation = getattr(request, "param", "read committed")
    await execute(
        dsn,
        f'ALTER DATABASE "{urlsplit(dsn).path[1:]}" SET default_transaction_isolation ='
        f" '{isolation}'",
    )
    async with pooled(dsn) as pooler:
        yield pooler


async def left_behind(pooler: Pooler) -> set[str]:
    """What the lent sessions have that is not the server's own."""
    seen: set[str] = set()
    connection = await asyncpg.connect(pooler.dsn, statement_cache_size=0)
    try:
        for _ in range(20):
            async with connection.transaction():
                rows = await connection.fetch(
                    "SELECT name || ' ' || setting FROM pg_settings WHERE source = 'session'"
                    " AND name NOT IN ('transaction_isolation', 'jit')"
                    " UNION ALL SELECT 'statement ' || name FROM pg_prepared_statements"
                    " WHERE name <> ''"
                    " UNION ALL SELECT 'channel ' || pg_listening_channels()"
                    " UNION ALL SELECT 'lock ' || locktype FROM pg_locks"
                    " WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                )
                seen.update(row[0] for row in rows)
    finally:
        await connection.close()
    return seen


async def ends(engine: Engine, *workflows: Baton) -> list[str]:
    return [
        (await engine.workflow(one.workflow_id).completion(timeout=DEADLINE)).outcome
        for one in workflows
    ]


@pytest.mark.parametrize("pooler", ["read committed", "serializable"], indirect=True)
async def test_whole_workflows_run_through_a_pooler(pooler: Pooler, dsn: str) -> None:
    chains = [
        Baton()
        .add("a", adds.new())
        .add("b", adds.new(), deps=["a"])
        .add("c", adds.new(), deps=["b"])
        for _ in range(10)
    ]
    failing = Baton().add("a", fails.new()).add("b", adds.new(), deps=["a"])
    waiting = Baton().wait("gate", any_of=["yes"]).add("b", adds.new(), deps=["gate"])
    late = Baton().add("a", adds.new(), schedule_in=3600)
    async with (
        opened(dsn) as tables,
        fast(pooler.dsn, plugins=[Plugin(interval=0.1, prune=True)], **POLLING) as engine,
    ):
        await insert_all([*chains, failing, waiting, late], engine=engine)
        assert await ends(engine, *chains) == ["completed"] * 10
        assert await engine.workflow(chains[0].workflow_id).result("c", int) == 3
        await send_event(waiting.workflow_id, "yes", 1)
        assert await engine.workflow(late.workflow_id).cancel() == 1
        assert await ends(engine, failing, waiting, late) == ["failed", "completed", "cancelled"]
        assert await tables.violations() == []
    assert pooler.refused
    assert await left_behind(pooler) == set()
    await execute(pooler.dsn, "SET lock_timeout = 5; SELECT pg_advisory_lock(1); LISTEN here")
    assert await left_behind(pooler) == {"lock_timeout 5", "lock advisory", "channel here"}


async def test_the_schema_is_migrated_through_a_pooler(empty_dsn: str) -> None:
    async with pooled(empty_dsn) as pooler:
        assert await schema.migrate(pooler.dsn, schema='an "other" one')
        assert (await schema.verify(pooler.dsn, schema='an "other" one')).ok
        assert await left_behind(pooler) == set()


async def test_settling_and_claiming_stay_one_transaction_of_one_statement(pooler: Pooler) -> None:
    workflow = Baton().add("0", adds.new())
    for number in range(1, 10):
        workflow.add(str(number), adds.new(), deps=[str(number - 1)])
    async with fast(pooler.dsn, **POLLING) as engine:
        await workflow.insert(engine=engine)
        assert await ends(engine, workflow) == ["completed"]
    settled = {said: times for said, times in pooler.transactions.items() if HOT in said}
    assert sum(settled.values()) >= len(workflow)
    assert not [said for said in settled if "BEGIN" in said]


async def test_notifications_are_not_asked_for(
    pooler: Pooler, caplog: pytest.LogCaptureFixture
) -> None:
    async with fast(pooler.dsn, **POLLING) as engine:

        async def told() -> bool:
            return "notifications do not arrive" in caplog.text

        await eventually(told)
        workflow = Baton().add("a", adds.new())
        await workflow.insert(engine=engine)
        assert await ends(engine, workflow) == ["completed"]
    assert not [said for said in pooler.transactions if said.startswith("LISTEN")]
    # The pooler of the tests may be told to write to a client that has gone.
    own = [record for record in caplog.records if record.name == "baton"]
    assert [record.levelname for record in own] == ["WARNING"]


async def test_a_lock_holds_up_only_what_needs_it(pooler: Pooler, dsn: str) -> None:
    go = asyncio.Event()

    @worker(name="pooler.first")
    async def first(step: Step) -> Cancel | None:
        await go.wait()
        return None

    victim, other = (Baton().add("a", first.new()) for _ in range(2))
    with recorded() as events:
        async with opened(dsn) as holder, fast(pooler.dsn, **ONE_BY_ONE) as engine:
            await insert_all([victim, other], engine=engine)
            await events.until(StepExecuting, 2)
            await holder.execute("BEGIN")
            await holder.rows(
                "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE", victim.workflow_id
            )
            go.set()
            assert await ends(engine, other) == ["completed"]
            assert not events.of(StepCompleted, workflow_id=victim.workflow_id)
            await holder.execute("COMMIT")
            assert await ends(engine, victim) == ["completed"]


async def test_a_cancelled_call_leaves_no_transaction_open(pooler: Pooler, dsn: str) -> None:
    database = Database(pooler.dsn, pool_size=2)
    await database.open()
    try:
        for turns in range(0, 160, 2):
            call = asyncio.create_task(store_of(database).fetch("count_queues"))
            for wait in (turns, 1 + turns % 5):
                for _ in range(wait):
                    await asyncio.sleep(0)
                call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        # The fixture of the loop fails the test when the driver had to clean up.
        assert await store_of(database).fetch("count_queues") == []
    finally:
        await database.close()
    async with opened(dsn) as tables:

        async def none_open() -> bool:
            return not await tables.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%'"
            )

        await eventually(none_open)
