"""Oban's own tables, as its Python and Elixir migrations leave them, stay as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from baton import schema
from baton.errors import MigrationError
from baton.store.sql import Sql
from support.places import FIXTURES
from support.schema_snapshot import describe

OBAN = FIXTURES / "oban"
KINDS = ["oban_py", "elixir_v12", "elixir_v13", "elixir_v14"]
ALL = list(range(1, schema.latest_version() + 1))
STATE = "type oban_job_state"


@pytest.fixture
async def connection(empty_dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(empty_dsn, server_settings={"search_path": "baton, public"})
    await connection.execute("CREATE SCHEMA baton")
    yield connection
    await connection.close()


def oban(kind: str, name: str = "baton") -> str:
    return Sql(name).render((OBAN / f"{kind}.sql").read_text("utf-8"))


async def add_job(connection: asyncpg.Connection[Any], state: str) -> None:
    await connection.execute(
        "INSERT INTO oban_jobs (worker, state) VALUES ('Theirs', $1::text::oban_job_state)", state
    )


def test_every_fixture_is_tested() -> None:
    assert sorted(KINDS) == sorted(path.stem for path in OBAN.glob("*.sql"))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_oban_made_stays_as_it_is(
    empty_dsn: str, connection: asyncpg.Connection[Any], kind: str
) -> None:
    await connection.execute(oban(kind))
    await add_job(connection, "executing")
    rows = await connection.fetch("SELECT * FROM oban_jobs")
    before = await describe(connection)
    (states,) = before.pop(STATE)

    assert await schema.migrate(empty_dsn) == ALL
    assert (await schema.verify(empty_dsn)).ok
    after = await describe(connection)
    _without_trigger(after)
    assert {name: after[name] for name in before} == before
    expected = (
        states if "suspended" in states else states.replace("scheduled", "suspended scheduled")
    )
    assert after[STATE] == [expected]
    assert await connection.fetch("SELECT * FROM oban_jobs") == rows
    await add_job(connection, "suspended")

    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]
    assert await describe(connection) == {**before, STATE: [expected]}
    assert await connection.fetchval("SELECT count(*) FROM oban_jobs") == 2
    assert await schema.migrate(empty_dsn) == ALL


def _without_trigger(found: dict[str, list[str]]) -> None:
    """Take away the one thing that Baton adds to the table."""
    lines = found["table oban_jobs"]
    (trigger,) = [
        line for line in lines if line.startswith("trigger") and "baton_keep_deleted_jobs" in line
    ]
    lines.remove(trigger)


async def test_the_added_state_stands_where_oban_puts_it(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    for version in (12, 13, 14):
        name = f"elixir {version}"
        await connection.execute(f'CREATE SCHEMA "{name}"; {oban(f"elixir_v{version}", name)}')
        await schema.migrate(empty_dsn, schema=name)
    states = [(await describe(connection, f"elixir {version}"))[STATE] for version in (12, 13, 14)]
    assert states[0] == states[1] == states[2]


async def test_oban_finds_everything_in_place_after_baton(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    before = await describe(connection)
    await connection.execute(oban("oban_py"))
    after = await describe(connection)
    _without_trigger(before)
    _without_trigger(after)
    assert {name: after[name] for name in before} == before
    assert {name.split("(")[0] for name in after.keys() - before.keys()} == {
        "table oban_leaders",
        "table oban_producers",
        "function oban_count_estimate",
    }
    await connection.execute(f'CREATE SCHEMA "first"; {oban("oban_py", "first")}')
    first = await describe(connection, "first")
    assert {name: after[name] for name in first} == first

    await add_job(connection, "available")
    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]
    assert await describe(connection) == first
    assert await connection.fetchval("SELECT count(*) FROM oban_jobs") == 1


async def test_a_rollback_refuses_to_lose_unfinished_jobs(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    before = await describe(connection)
    for state in ("completed", "cancelled", "discarded", "suspended", "available"):
        await add_job(connection, state)
    with pytest.raises(MigrationError, match="2 unfinished jobs") as caught:
        await schema.rollback(empty_dsn, to=0)
    assert caught.value.version == 1
    assert await describe(connection) == before
    assert await schema.current_version(empty_dsn) == ALL[-1]
    assert await schema.rollback(empty_dsn, to=1) == ALL[:0:-1]
    await connection.execute("DELETE FROM oban_jobs WHERE state IN ('suspended', 'available')")
    assert await schema.rollback(empty_dsn, to=0) == [1]
    assert await describe(connection) == {}


async def test_a_table_older_than_version_12_is_refused(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(oban("elixir_v12"))
    await connection.execute("ALTER TABLE oban_jobs DROP COLUMN meta, DROP COLUMN cancelled_at")
    before = await describe(connection)
    with pytest.raises(MigrationError, match=r"lacks: meta, cancelled_at; HINT: .* version 12"):
        await schema.migrate(empty_dsn)
    assert await describe(connection) == before


async def test_a_table_that_was_there_is_not_dropped(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(oban("oban_py"))
    await connection.execute("DROP TABLE oban_leaders, oban_producers")
    before = await describe(connection)
    await schema.migrate(empty_dsn)
    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]
    assert await describe(connection) == before


async def test_a_type_that_was_there_is_not_dropped(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, schema="other", to=1)
    (states,) = (await describe(connection, "other"))[STATE]
    labels = ", ".join(f"'{state}'" for state in states.split())
    await connection.execute(f"CREATE TYPE oban_job_state AS ENUM ({labels})")
    await schema.migrate(empty_dsn)
    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]
    assert await describe(connection) == {STATE: [states]}
