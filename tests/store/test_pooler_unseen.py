"""Through a pooler that takes Baton's settings at the start and forgets them, as hosted ones do."""

from __future__ import annotations

from collections import Counter

import asyncpg
import pytest

from baton import (
    Baton,
    Database,
    EngineSettings,
    Plugin,
    Step,
    insert_all,
    schema,
    send_event,
    worker,
)
from baton.engine import EngineOptions
from baton.errors import InvalidOptionError
from baton.store.store import store_of
from support.inserting import Client, Connection
from support.pooling import pooled
from support.running import fast, opened
from support.waiting import DEADLINE

POLLING: EngineOptions = {"poll_interval": 0.02, "heartbeat_interval": 0.1, "rescue_interval": 0.05}


@worker(name="unseen.adds")
async def adds(step: Step) -> int:
    given = await step.results()
    return 1 + sum(value for value in given.values() if isinstance(value, int))


def chain() -> Baton:
    return (
        Baton()
        .add("a", adds.new())
        .add("b", adds.new(), deps=["a"])
        .add("c", adds.new(), deps=["b"])
    )


async def test_it_is_noticed_and_everything_works(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    chains = [chain() for _ in range(20)]
    waiting = Baton().wait("gate", any_of=["yes"]).add("b", adds.new(), deps=["gate"])
    async with pooled(dsn, swallows=True) as pooler, opened(dsn) as tables:
        assert (await schema.verify(pooler.dsn)).ok
        async with fast(pooler.dsn, plugins=[Plugin(interval=0.1)], **POLLING) as engine:
            for one in chains:
                await one.insert(engine=engine)
            await waiting.insert(engine=engine)
            await send_event(waiting.workflow_id, "yes", 1)
            for one in (*chains, waiting):
                end = await engine.workflow(one.workflow_id).completion(timeout=DEADLINE)
                assert end.outcome == "completed"
            assert await engine.workflow(chains[0].workflow_id).result("c", int) == 3
        assert await tables.violations() == []
        assert pooler.swallowed["lock_timeout"]
        # Each connector finds out once; what it makes afterwards says nothing that is forgotten.
        assert pooler.swallowed["lock_timeout"] <= 3
    assert "trying again" not in caplog.text
    assert "prepared statement" not in caplog.text


@pytest.mark.parametrize("how", ["pooled=True", "?pgbouncer=true"])
async def test_it_can_be_said(dsn: str, how: str) -> None:
    async with pooled(dsn, swallows=True) as pooler:
        given = f"{pooler.dsn}&pgbouncer=true" if "pgbouncer" in how else pooler.dsn
        async with fast(given, pooled=how == "pooled=True", **POLLING) as engine:
            one = chain()
            await one.insert(engine=engine)
            end = await engine.workflow(one.workflow_id).completion(timeout=DEADLINE)
            assert end.outcome == "completed"
        assert pooler.swallowed == Counter()
        assert pooler.refused == Counter()
    with pytest.raises(InvalidOptionError, match="pooled=1"):
        Database(dsn, pooled=1)  # type: ignore[arg-type]


async def test_settings_hold_in_its_transactions(dsn: str, db: Connection) -> None:
    async with pooled(dsn, swallows=True) as pooler:
        database = Database(pooler.dsn, lock_timeout=0.35)
        await database.open()
        try:
            async with database.transaction() as connection:
                row = await connection.fetchrow(
                    "SELECT current_setting('lock_timeout'), current_setting('jit'),"
                    " current_setting('search_path'), current_setting('enable_seqscan')"
                )
                assert tuple(row or ()) == ("350ms", "off", "pg_catalog", "off")
        finally:
            await database.close()


@pytest.mark.parametrize("seconds", [0.02, 1.5, 2.0, 60.0, 3600.0])
async def test_a_server_itself_is_not_taken_for_one(dsn: str, seconds: float) -> None:
    """However PostgreSQL writes the bound: 20ms, 1500ms, 2s, 1min, 1h."""
    database = Database(dsn, lock_timeout=seconds)
    await database.open()
    try:
        async with database.connection() as connection:
            assert isinstance(connection, asyncpg.pool.PoolConnectionProxy)
            assert connection.lent == ""
    finally:
        await database.close()


async def test_a_role_with_the_same_bound_does_not_hide_it(dsn: str, db: Connection) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f"ALTER DATABASE \"{name}\" SET lock_timeout = '2s'")
    async with pooled(dsn, swallows=True) as pooler:
        database = Database(pooler.dsn)
        await database.open()
        try:
            async with database.connection() as connection:
                assert "SET LOCAL lock_timeout" in connection.lent  # type: ignore[attr-defined]
            await insert_all([chain()], engine=Client(store_of(database), EngineSettings()))
        finally:
            await database.close()
