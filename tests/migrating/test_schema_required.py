"""An engine starts on the schema that its Baton needs, or says what is wrong with it."""

from __future__ import annotations

import logging
from typing import Any

import asyncpg
import pytest

from baton import Engine, schema
from baton.errors import MissingRightError, SchemaMismatchError
from baton.store.database import database_of
from baton.store.store import Store
from support.running import FAST

GUARD = "index workflow_events_dedupe_index is missing"


async def mismatch(dsn: str) -> SchemaMismatchError:
    with pytest.raises(SchemaMismatchError) as caught:
        async with Engine(dsn, **FAST):
            pass
    return caught.value


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("ALTER TABLE oban_jobs ALTER queue TYPE varchar", "oban_jobs.queue is of type varchar"),
        (
            "ALTER TABLE oban_jobs ALTER scheduled_at TYPE timestamptz",
            "oban_jobs.scheduled_at is of type timestamptz",
        ),
        (
            "ALTER TABLE workflow_nodes ALTER name TYPE varchar",
            "workflow_nodes.name is of type varchar, expected text",
        ),
        ("ALTER TABLE workflow_nodes DROP COLUMN trace", "workflow_nodes.trace is missing"),
        ("DROP TABLE workflow_memos", "table workflow_memos is missing"),
        ("DROP INDEX workflow_events_dedupe_index", GUARD),
        (
            """
            DROP INDEX workflow_events_dedupe_index;
            CREATE INDEX workflow_events_dedupe_index ON workflow_events (id)
            """,
            GUARD,
        ),
        ("DROP FUNCTION baton_send", "function baton_send is missing"),
    ],
)
async def test_an_engine_does_not_start_on_what_verify_finds(
    empty_dsn: str, connection: asyncpg.Connection[Any], damage: str, problem: str
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute(damage)
    assert any(found.startswith(problem) for found in (await mismatch(empty_dsn)).problems)
    for problems in (
        (await mismatch(empty_dsn)).problems,
        (await schema.verify(empty_dsn)).problems,
    ):
        assert any(found.startswith(problem) for found in problems)


async def test_an_index_that_only_speeds_up_keeps_no_engine_from_starting(
    empty_dsn: str, connection: asyncpg.Connection[Any], caplog: Any
) -> None:
    caplog.set_level(logging.WARNING, "baton")
    await schema.migrate(empty_dsn)
    await connection.execute("DROP INDEX workflows_name_index")
    async with Engine(empty_dsn, **FAST):
        pass
    assert "index workflows_name_index is missing" in caplog.text
    assert "index workflows_name_index is missing" in (await schema.verify(empty_dsn)).problems


async def test_a_role_that_no_policy_lets_read_is_told_so(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute(
        "ALTER TABLE baton_migrations ENABLE ROW LEVEL SECURITY; "
        "ALTER TABLE baton_migrations FORCE ROW LEVEL SECURITY; "
        "CREATE ROLE baton_unseeing; "
        "GRANT USAGE ON SCHEMA baton TO baton_unseeing; "
        "GRANT SELECT ON baton_migrations TO baton_unseeing; "
        "SET SESSION AUTHORIZATION baton_unseeing"
    )
    try:
        with pytest.raises(MissingRightError, match="row-level security"):
            await schema.verify(connection)
    finally:
        await connection.execute(
            "RESET SESSION AUTHORIZATION; DROP OWNED BY baton_unseeing; DROP ROLE baton_unseeing"
        )


async def test_the_start_asks_twice(dsn: str) -> None:
    database = Store(dsn, pool_size=1)
    await database.open()
    asked: list[str] = []
    try:
        async with database.connection() as pooled:
            pooled.add_query_logger(lambda query: asked.append(query.query))
        await schema.require(database_of(database))
    finally:
        await database.close()
    assert (
        1
        <= len([query for query in asked if not query.startswith(("RESET", "SELECT pg_adv"))])
        <= 2
    )
