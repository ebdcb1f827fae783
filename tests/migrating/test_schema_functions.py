"""Functions have one text, in a file each, and a database follows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from baton import schema
from baton.errors import MigrationError, SchemaMismatchError
from baton.migrating.functions import declared_functions
from baton.store import packaged
from baton.store.database import database_of
from baton.store.packaged import load_functions
from baton.store.sql import Sql
from baton.store.store import Store
from support.schema_snapshot import describe

LATEST = schema.latest_version()
WAKE = "SELECT prosrc FROM pg_proc WHERE proname = 'baton_wake'"


@pytest.fixture
def functions() -> Iterator[dict[str, str]]:
    """The packaged functions, to be edited by a test."""
    edited = load_functions()
    before = dict(edited)
    declared_functions.cache_clear()
    yield edited
    edited.clear()
    edited.update(before)
    declared_functions.cache_clear()


def names_of(description: dict[str, list[str]]) -> set[str]:
    return {
        name.removeprefix("function ").partition("(")[0]
        for name in description
        if name.startswith("function ")
    }


async def test_every_file_is_one_function_of_the_database(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    assert names_of(await describe(connection)) == set(load_functions())
    assert len(load_functions()) > 10


async def test_functions_come_with_the_newest_version_and_go_with_it(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, to=LATEST - 1)
    assert names_of(await describe(connection)) == set()
    await schema.migrate(empty_dsn)
    assert names_of(await describe(connection)) == set(load_functions())
    await schema.rollback(empty_dsn, to=LATEST - 1)
    assert names_of(await describe(connection)) == set()


async def test_an_edited_function_is_required_and_applied_at_the_newest_version(
    empty_dsn: str, connection: asyncpg.Connection[Any], functions: dict[str, str]
) -> None:
    await schema.migrate(empty_dsn)
    functions["baton_wake"] = functions["baton_wake"].replace("\nDECLARE", "\n-- New.\nDECLARE")
    declared_functions.cache_clear()
    database = Store(empty_dsn, pool_size=1)
    await database.open()
    try:
        with pytest.raises(SchemaMismatchError, match="function baton_wake"):
            await schema.require(database_of(database))
        assert await schema.migrate(empty_dsn) == []
        await schema.require(database_of(database))
    finally:
        await database.close()
    assert "-- New." in await connection.fetchval(WAKE)


async def test_the_printed_sql_of_the_newest_version_makes_the_functions(
    empty_dsn: str, connection: asyncpg.Connection[Any], functions: dict[str, str]
) -> None:
    await schema.migrate(empty_dsn)
    functions["baton_wake"] = functions["baton_wake"].replace("\nDECLARE", "\n-- New.\nDECLARE")
    declared_functions.cache_clear()
    text = schema.migration_sql(LATEST, LATEST)
    assert "CREATE TABLE" not in text
    await connection.execute(text)
    assert "-- New." in await connection.fetchval(WAKE)
    assert (await schema.verify(empty_dsn)).ok
    await schema.rollback(empty_dsn, to=LATEST - 1)
    with pytest.raises(asyncpg.RaiseError, match=f"expected {LATEST}"):
        await connection.execute(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1;\n",
        "CREATE FUNCTION /*schema.*/baton_wake()\nRETURNS void\nLANGUAGE sql\nAS $x$ $x$;\n",
        load_functions()["baton_arm"],
        load_functions()["baton_wake"] + "SELECT 1;\n",
    ],
    ids=["empty", "no function", "no replacement", "another name", "more"],
)
async def test_a_file_that_is_not_one_function_is_refused(
    empty_dsn: str,
    connection: asyncpg.Connection[Any],
    functions: dict[str, str],
    text: str,
) -> None:
    functions["baton_wake"] = text
    with pytest.raises(MigrationError, match=r"functions/baton_wake\.sql is not one CREATE OR"):
        await schema.migrate(empty_dsn)
    assert names_of(await describe(connection)) == set()


def test_an_installation_without_the_sql_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(packaged, "_CHECKOUT", tmp_path)
    with pytest.raises(MigrationError, match="lacks the schema's SQL"):
        packaged.schema_folder()


def test_fingerprints_depend_on_the_schema() -> None:
    one, two = declared_functions(Sql("one")), declared_functions(Sql("two"))
    assert one["baton_settle_and_claim"].fingerprint != two["baton_settle_and_claim"].fingerprint


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("baton.baton_notify_jobs(t.x)", "pg_notify('baton.oban_insert'"),
        ("baton.baton_job_error(1, t.x)", "jsonb_build_object('attempt'"),
    ],
)
async def test_the_small_functions_cost_no_call(
    empty_dsn: str, connection: asyncpg.Connection[Any], call: str, instead: str
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute("SET search_path = pg_catalog")
    plan = await connection.fetch(f"EXPLAIN (VERBOSE) SELECT {call} FROM unnest(ARRAY['']) t (x)")
    text = "\n".join(row[0] for row in plan)
    assert instead in text
    assert "baton_" not in text
