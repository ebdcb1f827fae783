"""Schemas that were copied or renamed, and functions that somebody altered: an engine works with
its own schema's rows, or it does not start.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from baton import Baton, Database, Engine, Plugin, Step, schema, worker
from baton.errors import SchemaMismatchError
from baton.migrating.declared import declared_columns
from baton.store.packaged import load_migrations
from baton.store.sql import quote_identifier
from support.copying import copy_schema
from support.running import FAST
from support.waiting import DEADLINE

LATEST = schema.latest_version()


@worker(name="tests.copies")
async def told(step: Step) -> str:
    return "told"


async def rows(connection: asyncpg.Connection[Any], name: str) -> dict[str, list[Any]]:
    """Everything that the schema's tables hold."""
    own = quote_identifier(name)
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace "
        "AND relkind = 'r' ORDER BY relname",
        own,
    )
    return {
        table: [
            row[0]
            for row in await connection.fetch(
                f"SELECT to_jsonb(t)::text FROM {own}.{table} t ORDER BY 1"
            )
        ]
        for (table,) in tables
    }


async def inserted(dsn: str, name: str) -> Baton:
    """A workflow of the schema, whose only step waits for an engine."""
    await schema.migrate(dsn, schema=name)
    workflow = Baton().add("a", told.new()).wait("b", any_of=["never"], timeout=0.01, deps=["a"])
    async with Engine(dsn, schema=name) as client:
        await workflow.insert(engine=client)
    return workflow


async def ends(dsn: str, name: str, workflow: Baton) -> str:
    async with Engine(dsn, schema=name, plugins=[Plugin()], **FAST) as engine:
        completion = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    return completion.outcome.value


async def mismatch(dsn: str, name: str) -> SchemaMismatchError:
    with pytest.raises(SchemaMismatchError) as caught:
        async with Engine(dsn, schema=name, **FAST):
            pass
    assert caught.value.schema == name
    return caught.value


async def test_a_copied_tenant_works_on_its_own_rows(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    workflow = await inserted(empty_dsn, "tenant_a")
    await copy_schema(connection, "tenant_a", "tenant_b")
    before = await rows(connection, "tenant_a")

    assert (await schema.verify(empty_dsn, schema="tenant_b")).problems == ()
    assert await ends(empty_dsn, "tenant_b", workflow) == "completed"
    assert await rows(connection, "tenant_a") == before
    assert await ends(empty_dsn, "tenant_a", workflow) == "completed"


async def test_a_copy_that_works_on_another_tenant_does_not_start(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    workflow = await inserted(empty_dsn, "tenant_a")
    await copy_schema(connection, "tenant_a", "tenant_b")
    # As a tool leaves it that copies the functions' texts as they are.
    for (definition,) in await connection.fetch(
        "SELECT replace(pg_get_functiondef(oid), 'FUNCTION tenant_a.', 'FUNCTION tenant_b.') "
        "FROM pg_proc WHERE pronamespace = 'tenant_a'::regnamespace"
    ):
        await connection.execute(definition)
    before = await rows(connection, "tenant_a")

    error = await mismatch(empty_dsn, "tenant_b")
    assert (
        "function baton_settle_and_claim is of another schema, on whose rows it would work"
        in error.problems
    )
    assert "baton migrate --schema tenant_b" in str(error)
    with pytest.raises(SchemaMismatchError):
        await Plugin().run(Database(empty_dsn, schema="tenant_b"))
    assert await rows(connection, "tenant_a") == before

    assert await schema.migrate(empty_dsn, schema="tenant_b") == []
    assert (await schema.verify(empty_dsn, schema="tenant_b")).ok
    assert await ends(empty_dsn, "tenant_b", workflow) == "completed"
    assert await rows(connection, "tenant_a") == before


async def test_a_copy_whose_name_is_quoted_is_put_right_by_migrating(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    # The tool finds "Tenant A". but not the notification channel 'Tenant A.baton_finished'.
    workflow = await inserted(empty_dsn, "Tenant A")
    await copy_schema(connection, "Tenant A", "Tenant B")
    error = await mismatch(empty_dsn, "Tenant B")
    assert all(problem.startswith("function ") for problem in error.problems)
    await schema.migrate(empty_dsn, schema="Tenant B")
    assert await ends(empty_dsn, "Tenant B", workflow) == "completed"


async def test_a_renamed_schema_is_put_right_by_migrating(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    workflow = await inserted(empty_dsn, "jobs")
    await connection.execute("ALTER SCHEMA jobs RENAME TO work")
    report = await schema.verify(empty_dsn, schema="work")
    assert not report.ok
    await mismatch(empty_dsn, "work")
    assert await schema.migrate(empty_dsn, schema="work") == []
    assert (await schema.verify(empty_dsn, schema="work")).ok
    assert await ends(empty_dsn, "work", workflow) == "completed"


async def test_names_given_crosswise(empty_dsn: str, connection: asyncpg.Connection[Any]) -> None:
    await inserted(empty_dsn, "one")
    await inserted(empty_dsn, "two")
    await connection.execute("""
        ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one;
        ALTER SCHEMA three RENAME TO two
    """)
    await mismatch(empty_dsn, "one")
    await mismatch(empty_dsn, "two")


ALTERED = {
    "text": """
        DO $$ BEGIN EXECUTE replace(
            pg_get_functiondef('baton_wake(bigint, boolean)'::regprocedure),
            'greatest(n.pending - 1, 0)', 'greatest(n.pending - 2, 0)'
        ); END $$
    """,
    "comment": """
        DO $$ BEGIN EXECUTE replace(
            pg_get_functiondef('baton_wake(bigint, boolean)'::regprocedure), 'DECLARE', 'DECLARE--'
        ); END $$
    """,
    "setting gone": "ALTER FUNCTION baton_wake RESET search_path",
    "setting more": "ALTER FUNCTION baton_wake SET enable_sort = off",
    "rights": "ALTER FUNCTION baton_wake SECURITY DEFINER",
    "volatility": "ALTER FUNCTION baton_wake STABLE",
    "gone": "DROP FUNCTION baton_wake",
    "namesake": """
        CREATE FUNCTION baton_wake(p_job bigint, p_notify text) RETURNS text LANGUAGE sql
        AS 'SELECT p_notify'
    """,
    "older": """
        DROP FUNCTION baton_wake;
        CREATE FUNCTION baton_wake(p_job bigint) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'
    """,
    "other names": """
        DO $$
        DECLARE
            v_text text := pg_get_functiondef('baton_wake(bigint, boolean)'::regprocedure);
        BEGIN
            DROP FUNCTION baton_wake;
            EXECUTE replace(v_text, '(p_job bigint,', '(p_jobs bigint,');
        END $$
    """,
    "other types": """
        DO $$
        DECLARE
            v_text text := pg_get_functiondef('baton_wake(bigint, boolean)'::regprocedure);
        BEGIN
            DROP FUNCTION baton_wake;
            EXECUTE replace(v_text, '(p_job bigint,', '(p_job integer,');
        END $$
    """,
    "other result": """
        DO $$
        DECLARE
            v_text text := pg_get_functiondef('baton_wake(bigint, boolean)'::regprocedure);
        BEGIN
            DROP FUNCTION baton_wake;
            EXECUTE replace(v_text, 'RETURNS text', 'RETURNS character varying');
        END $$
    """,
}


@pytest.mark.parametrize("change", ALTERED)
async def test_an_altered_function_is_found_and_made_anew(
    empty_dsn: str, connection: asyncpg.Connection[Any], change: str, caplog: Any
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute(ALTERED[change])
    report = await schema.verify(empty_dsn)
    (problem,) = report.problems
    assert problem.startswith("function baton_wake is ")
    assert (await mismatch(empty_dsn, "baton")).problems == report.problems

    assert await schema.migrate(empty_dsn) == []
    assert "made anew: baton_wake" in caplog.text
    assert (await schema.verify(empty_dsn)).ok
    async with Engine(empty_dsn, **FAST):
        pass


async def test_line_ends_are_no_difference(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    # As when the printed SQL was written to a file and run on another system.
    await connection.execute(schema.migration_sql().replace("\n", "\r\n"))
    assert (await schema.verify(empty_dsn)).ok


async def test_rights_on_a_function_outlive_its_making_anew(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    rights = "SELECT proacl::text FROM pg_proc WHERE proname = 'baton_wake'"
    await schema.migrate(empty_dsn)
    await connection.execute("REVOKE EXECUTE ON FUNCTION baton_wake FROM public")
    before = await connection.fetchval(rights)
    await connection.execute("ALTER FUNCTION baton_wake RESET search_path")
    await schema.migrate(empty_dsn)
    assert await connection.fetchval(rights) == before


async def test_a_newer_schema_may_have_other_functions_of_its_own(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, schema="one")
    await connection.execute(
        "INSERT INTO one.baton_migrations (version, name, checksum) VALUES ($1, 'later', '')",
        LATEST + 1,
    )
    await connection.execute("ALTER FUNCTION one.baton_wake SET enable_sort = off")
    async with Engine(empty_dsn, schema="one", **FAST):
        pass
    assert await schema.migrate(empty_dsn, schema="one") == []
    await connection.execute("ALTER SCHEMA one RENAME TO two")
    error = await mismatch(empty_dsn, "two")
    assert "function baton_settle_and_claim works on another schema than its own" in error.problems


async def test_the_columns_that_the_migrations_declare_are_those_they_make(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    made = await connection.fetch(
        "SELECT c.relname, a.attname, t.typname FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 "
        "AND c.relname NOT IN ('oban_jobs', 'baton_migrations')"
    )
    assert declared_columns(load_migrations()) == {
        (table, column): kind for table, column, kind in made
    }
