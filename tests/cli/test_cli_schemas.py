"""The commands address an installation by two names: Baton's schema and that of oban_jobs."""

from __future__ import annotations

import asyncpg
import pytest

from baton import Engine, schema
from baton.cli.target import overridden
from baton.store.store import store_of
from cli.test_cli import baton, ended, start

LATEST = schema.latest_version()
APART = ("--schema", "own", "--oban-schema", "queue")


async def schemas_of(dsn: str, table: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT schemaname FROM pg_catalog.pg_tables WHERE tablename = $1 ORDER BY 1", table
        )
    finally:
        await connection.close()
    return [row["schemaname"] for row in rows]


@pytest.mark.parametrize("given", ["options", "environment"])
async def test_both_names_reach_every_command(empty_dsn: str, given: str) -> None:
    options = APART if given == "options" else ()
    environment = (
        {} if given == "options" else {"BATON_SCHEMA": "own", "BATON_OBAN_SCHEMA": "queue"}
    )

    async def run(*arguments: str) -> str:
        process = await start(*arguments, *options, dsn=empty_dsn, **environment)
        status, text = await ended(process)
        assert status == 0, text
        return text

    assert f"at version {LATEST}: applied" in await run("migrate")
    assert await schemas_of(empty_dsn, "oban_jobs") == ["queue"]
    assert await schemas_of(empty_dsn, "workflows") == ["own"]
    assert f"is right, at version {LATEST}" in await run("migrate", "--verify")
    assert await run("workflows", "--json") != ""
    assert await run("queues", "--json") != ""
    printed = await run("migrate", "--print")
    assert "CREATE TABLE queue.oban_jobs" in printed
    assert "CREATE TABLE own.workflows" in printed
    await run("migrate", "--down", "0")
    assert await schemas_of(empty_dsn, "oban_jobs") == []


async def test_without_names_everything_stands_in_baton(empty_dsn: str) -> None:
    assert (await baton("migrate", dsn=empty_dsn))[0] == 0
    assert await schemas_of(empty_dsn, "oban_jobs") == ["baton"]
    assert await schemas_of(empty_dsn, "workflows") == ["baton"]


async def test_a_queue_elsewhere_is_named_by_the_error(empty_dsn: str) -> None:
    assert (await baton("migrate", "--oban-schema", "public", dsn=empty_dsn))[0] == 0
    for command in (["migrate"], ["migrate", "--verify"], ["workflows"]):
        status, text = await baton(*command, dsn=empty_dsn)
        assert status == 1
        assert "oban_schema='public' or --oban-schema" in text


def test_a_worker_keeps_the_queue_of_its_engine_unless_told_otherwise() -> None:
    engine = Engine("postgresql://a@h/x", oban_schema="public")
    moved = overridden(engine, None, "jobs", None)
    assert (store_of(moved).schema, store_of(moved).sql.oban) == ("jobs", "public")
    other = overridden(engine, None, None, None, "elsewhere")
    assert (store_of(other).schema, store_of(other).sql.oban) == ("baton", "elsewhere")
    assert overridden(engine, None, None, None, "public") is engine
