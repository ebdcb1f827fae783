"""Baton's schema beside an application's own tables and its tool for migrations."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from baton import Baton, Engine, Step, schema, worker
from baton.errors import MigrationError
from baton.store.sql import Sql
from support.places import FIXTURES
from support.running import FAST
from support.schema_snapshot import describe
from support.waiting import DEADLINE

ALL = list(range(1, schema.latest_version() + 1))
OBAN = {file.stem: file.read_text("utf-8") for file in sorted((FIXTURES / "oban").glob("*.sql"))}


@worker(name="tests.beside")
async def works(step: Step) -> str:
    return "done"


async def runs(dsn: str, oban_schema: str | None = None) -> None:
    async with Engine(dsn, oban_schema=oban_schema, **FAST) as engine:
        workflow = Baton().add("a", works.new()).wait("b", any_of=["x"], timeout=0.01)
        await workflow.insert(engine=engine)
        completion = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    assert completion.outcome.value == "completed"


async def drop_tables(connection: asyncpg.Connection[Any], *kept: str) -> None:
    """As Alembic's autogenerate or `metadata.drop_all` does: functions and types stay."""
    for (table,) in await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'baton'::regnamespace AND relname <> ALL ($1::text[])",
        list(kept),
    ):
        await connection.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize("kept", [(), ("oban_jobs",)], ids=str)
async def test_after_all_tables_were_dropped_migrating_brings_everything_back(
    empty_dsn: str, connection: asyncpg.Connection[Any], kept: tuple[str, ...]
) -> None:
    await schema.migrate(empty_dsn)
    migrated = await describe(connection)
    await drop_tables(connection, *kept)
    assert await schema.migrate(empty_dsn) == ALL
    assert await describe(connection) == migrated
    await runs(empty_dsn)
    assert await schema.migrate(empty_dsn) == []
    await connection.execute("DELETE FROM oban_jobs")
    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]


async def test_what_an_older_version_left_gives_way(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute("""
        CREATE SCHEMA baton;
        CREATE FUNCTION baton_announce(p_workflows uuid[], p_notify boolean)
            RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION baton_settle_and_claim(p_ids bigint[])
            RETURNS integer LANGUAGE sql AS 'SELECT 1'
    """)
    assert await schema.migrate(empty_dsn) == ALL
    assert (await schema.verify(empty_dsn)).ok


async def test_the_printed_sql_comes_back_too(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute(schema.migration_sql())
    migrated = await describe(connection)
    await drop_tables(connection)
    await connection.execute(schema.migration_sql())
    assert await describe(connection) == migrated


async def test_where_only_the_record_of_migrations_stayed_the_way_back_is_open(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    await drop_tables(connection, "baton_migrations", "workflow_events")
    with pytest.raises(MigrationError, match=r"are missing: baton_actions, .*--down 0"):
        await schema.migrate(empty_dsn)
    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]
    assert await schema.migrate(empty_dsn) == ALL
    await runs(empty_dsn)


THEIRS = {
    "table workflows": "CREATE TABLE workflows (theirs integer)",
    "relation workflows": "CREATE VIEW workflows AS SELECT 1 AS theirs",
    "type workflows": "CREATE TYPE workflows AS ENUM ('theirs')",
    "table workflow_wait_groups": "CREATE TABLE workflow_wait_groups (theirs integer)",
    "index workflow_events_age_index": (
        "CREATE TABLE t (theirs integer); CREATE INDEX workflow_events_age_index ON t (theirs)"
    ),
    "index workflow_nodes_name_key": (
        "CREATE TABLE t (theirs integer, CONSTRAINT workflow_nodes_name_key UNIQUE (theirs))"
    ),
}


@pytest.mark.parametrize("taken", THEIRS)
async def test_a_taken_name_is_told_before_anything_is_made(
    empty_dsn: str, connection: asyncpg.Connection[Any], taken: str
) -> None:
    await connection.execute(f"CREATE SCHEMA baton; {THEIRS[taken]}")
    before = await describe(connection)
    with pytest.raises(MigrationError) as caught:
        await schema.migrate(empty_dsn)
    assert f"has what Baton would make itself: {taken}" in caught.value.problem
    assert "baton migrate --schema NAME" in caught.value.problem
    with pytest.raises(asyncpg.DuplicateObjectError, match=taken):
        await connection.execute(schema.migration_sql())
    await connection.execute("ROLLBACK")
    assert await describe(connection) == before
    assert await schema.migrate(empty_dsn, schema="own") == ALL
    assert await describe(connection) == before


async def test_a_name_taken_between_two_versions_is_told_too(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, to=1)
    await connection.execute("CREATE TABLE workflow_memos (theirs integer)")
    before = await describe(connection)
    with pytest.raises(MigrationError, match="table workflow_memos"):
        await schema.migrate(empty_dsn)
    assert await describe(connection) == before


async def test_the_tables_that_another_tool_must_leave_alone(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    made = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'baton'::regnamespace"
    )
    assert schema.table_names() == {row["relname"] for row in made}


async def test_one_statement_in_another_tools_transaction(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, schema="migrated")
    await connection.execute("SET search_path = public, pg_catalog; SET lock_timeout = '7s'")
    name = "$script$ it's \\ $baton$"
    up = schema.migration_sql(schema=name, transactions=False)
    down = schema.migration_sql(ALL[-1], 0, schema=name, transactions=False)
    async with connection.transaction():
        await connection.execute("CREATE TABLE theirs (id integer)")
        # Prepared, so it is one statement.
        await connection.fetch(up)
        assert await connection.fetchval("SHOW search_path") == "public, pg_catalog"
        assert await connection.fetchval("SHOW lock_timeout") == "7s"
        assert await connection.fetchval("SHOW client_min_messages") == "notice"
        await connection.execute("INSERT INTO theirs VALUES (1)")
    assert await describe(connection, name) == await describe(connection, "migrated")
    assert (await schema.verify(empty_dsn, schema=name)).ok
    with pytest.raises(asyncpg.RaiseError, match="expected 0"):
        await connection.execute(up)
    async with connection.transaction():
        await connection.fetch(down)
    assert await describe(connection, name) == {}
    assert schema.migration_sql(1, 1, transactions=False) == ""


async def test_what_it_did_goes_with_the_transaction_that_fails(
    connection: asyncpg.Connection[Any],
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("CREATE TABLE theirs (id integer)")
    await connection.execute(schema.migration_sql(transactions=False))
    await transaction.rollback()
    assert await describe(connection) == {}


@pytest.mark.parametrize("made", OBAN)
async def test_one_statement_on_a_table_that_oban_made(
    empty_dsn: str, connection: asyncpg.Connection[Any], made: str
) -> None:
    # The state 'suspended' is added and named in one transaction.
    await connection.execute(Sql(oban_schema="public").render(OBAN[made]))
    await connection.fetch(schema.migration_sql(oban_schema="public", transactions=False))
    assert (await schema.verify(empty_dsn, oban_schema="public")).ok
    await runs(empty_dsn, oban_schema="public")


@pytest.mark.parametrize("by", ["text", "driver"])
async def test_it_passes_through_sqlalchemy(empty_dsn: str, by: str) -> None:
    dsn = empty_dsn.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(dsn, poolclass=NullPool)
    statement = schema.migration_sql(transactions=False)
    async with engine.begin() as connection:
        if by == "text":
            # What Alembic's op.execute makes of a str.
            await connection.execute(text(statement))
        else:
            await connection.exec_driver_sql(statement)
    await engine.dispose()
    assert (await schema.verify(empty_dsn)).ok


async def test_a_connection_in_a_transaction_is_told_what_to_do(
    connection: asyncpg.Connection[Any],
) -> None:
    async with connection.transaction():
        with pytest.raises(MigrationError, match=r"migration_sql\(transactions=False\)"):
            await schema.migrate(connection)
