"""What `verify` says of schemas that are missing, old, or were changed by hand."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from baton import schema
from baton.errors import SchemaMissingError
from baton.migrating.declared import declared_relations
from baton.store.database import database_of
from baton.store.packaged import load_functions, load_migrations
from baton.store.store import Store

LATEST = schema.latest_version()


async def test_a_schema_that_is_missing_or_old(empty_dsn: str) -> None:
    with pytest.raises(SchemaMissingError) as caught:
        await schema.verify(empty_dsn, schema="none")
    assert (caught.value.schema, caught.value.found, caught.value.expected) == (
        "none",
        None,
        LATEST,
    )
    await schema.migrate(empty_dsn, to=1)
    with pytest.raises(SchemaMissingError) as caught:
        await schema.verify(empty_dsn)
    assert caught.value.found == 1


async def test_an_engine_requires_the_version(empty_dsn: str) -> None:
    database = Store(empty_dsn, pool_size=1)
    await database.open()
    try:
        with pytest.raises(SchemaMissingError):
            await schema.require(database_of(database))
        await schema.migrate(empty_dsn, to=LATEST - 1)
        with pytest.raises(SchemaMissingError) as caught:
            await schema.require(database_of(database))
        assert caught.value.found == LATEST - 1
        await schema.migrate(empty_dsn)
        await schema.require(database_of(database))
    finally:
        await database.close()


async def test_a_migrated_schema_is_fine(empty_dsn: str) -> None:
    await schema.migrate(empty_dsn)
    report = await schema.verify(empty_dsn)
    assert report == schema.SchemaReport("baton", LATEST, LATEST, (), ())
    assert report.ok


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DROP TABLE baton_engines", "table baton_engines is missing"),
        ("ALTER FUNCTION baton_announce RENAME TO other", "function baton_announce is missing"),
        ("ALTER TABLE workflows RENAME TO w", "table workflows is missing"),
        ("DROP TABLE oban_jobs", "oban_jobs.worker is missing"),
        ("ALTER TABLE oban_jobs DROP COLUMN meta", "oban_jobs.meta is missing"),
        (
            "ALTER TABLE oban_jobs ALTER attempted_at TYPE timestamptz",
            "oban_jobs.attempted_at is of type timestamptz, expected timestamp",
        ),
        (
            "ALTER TABLE oban_jobs ALTER attempt TYPE bigint",
            "oban_jobs.attempt is of type int8, expected int2 or int4",
        ),
        (
            "ALTER TYPE oban_job_state RENAME VALUE 'suspended' TO 'paused'",
            "oban_job_state lacks 'suspended'",
        ),
        (
            "UPDATE baton_migrations SET checksum = 'x' WHERE version = 2",
            "version 2 (baton) was applied from another text than this Baton's",
        ),
    ],
)
async def test_damage_is_named(
    empty_dsn: str, connection: asyncpg.Connection[Any], damage: str, problem: str
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute(damage)
    report = await schema.verify(empty_dsn)
    assert problem in report.problems
    assert not report.ok


async def test_the_declared_objects_are_the_migrated_ones(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, to=1)
    listed = """
        SELECT CASE relkind WHEN 'i' THEN 'index' ELSE 'table' END, relname FROM pg_class c
        WHERE relnamespace = 'baton'::regnamespace AND relkind IN ('r', 'i')
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)
        UNION ALL
        SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'baton'::regnamespace
    """
    first = {tuple(row) for row in await connection.fetch(listed)}
    await schema.migrate(empty_dsn)
    migrated = {tuple(row) for row in await connection.fetch(listed)}
    functions = {("function", name) for name in load_functions()}
    made = migrated - first | {("table", "baton_migrations")}
    assert declared_relations(load_migrations()) | functions == made
