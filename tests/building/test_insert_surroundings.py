"""Insertion assumes nothing of the caller's session: isolation, search path, settings, codecs."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from baton.errors import WorkflowExistsError
from support.borrowing import Connection, Fetch, count, pair


class TestIsolation:
    @pytest.mark.parametrize("level", ["read_committed", "repeatable_read", "serializable"])
    async def test_every_level(self, conn: Connection, db: Connection, level: Any) -> None:
        exists = pair()
        await exists.insert(conn=db)
        async with conn.transaction(isolation=level):
            await conn.fetchval("SELECT count(*) FROM baton.workflows")
            await pair().insert(conn=conn)
            with pytest.raises(WorkflowExistsError):
                await exists.insert(conn=conn)
            await pair().insert(conn=conn)
        assert await count(db) == 3

    @pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
    async def test_every_default(self, conn: Connection, db: Connection, level: str) -> None:
        await conn.execute(f"SET default_transaction_isolation TO '{level}'")
        await pair().insert(conn=conn)
        assert await count(db) == 1

    async def test_a_conflict_with_the_unseen_stays_the_drivers_error(
        self, conn: Connection, db: Connection
    ) -> None:
        workflow = pair()
        async with conn.transaction(isolation="repeatable_read"):
            await conn.fetchval("SELECT count(*) FROM baton.workflows")
            await workflow.insert(conn=db)
            with pytest.raises(asyncpg.SerializationError):
                await workflow.insert(conn=conn)
        assert await count(db) == 1

    async def test_a_read_only_transaction_stays_the_drivers_error(
        self, conn: Connection, db: Connection
    ) -> None:
        async with conn.transaction(readonly=True):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await pair().insert(conn=conn)
            assert await conn.fetchval("SELECT 1") == 1


FUNCTIONS = {
    "clock_timestamp()": ("timestamptz", "'1999-01-01'::timestamptz"),
    "now()": ("timestamptz", "'1999-01-01'::timestamptz"),
    "timezone(text, timestamptz)": ("timestamp", "'1999-01-01'::timestamp"),
    "unnest(text[])": ("SETOF text", "'evil'"),
    "string_to_array(text, text, text)": ("text[]", "'{}'::text[]"),
    "nextval(regclass)": ("bigint", "1::bigint"),
    "quote_ident(text)": ("text", "'evil'"),
    "pg_get_serial_sequence(text, text)": ("text", "'evil.s'"),
    "generate_series(int, int)": ("SETOF int", "1"),
    "to_char(timestamp, text)": ("text", "'evil'"),
    "jsonb_concat(jsonb, jsonb)": ("jsonb", "'{}'::jsonb"),
    "jsonb_build_object(text, uuid, text, text)": ("jsonb", "'{}'::jsonb"),
    "pg_notify(text, text)": ("void", "(1 / 0)::text::void"),
    "same(text, text)": ("bool", "true"),
}

HOSTILE = f"""
CREATE SCHEMA evil;
{
    "".join(
        f"CREATE FUNCTION evil.{name} RETURNS {returns} LANGUAGE sql AS $$ SELECT {body} $$;"
        for name, (returns, body) in FUNCTIONS.items()
    )
}
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
CREATE TABLE evil.oban_jobs (id int);
CREATE TABLE evil.workflows (id int);
CREATE TABLE evil.workflow_nodes (id int);
CREATE TYPE evil.oban_job_state AS ENUM ('evil');
CREATE DOMAIN evil.uuid AS int;
CREATE DOMAIN evil.jsonb AS int;
CREATE DOMAIN evil.int8 AS text;
CREATE DOMAIN evil.text AS int;
"""


@pytest.mark.parametrize("path", ["''", "evil, pg_catalog", "evil, baton, pg_catalog, pg_temp"])
async def test_any_search_path(conn: Connection, db: Connection, path: str) -> None:
    await db.execute(HOSTILE)
    await conn.execute(f"SET search_path TO {path}")
    workflow = pair()
    jobs = await workflow.insert(conn=conn)
    with pytest.raises(WorkflowExistsError):
        await workflow.insert(conn=conn)
    assert await count(db) == 1
    rows = await db.fetch(
        "SELECT id, meta->>'workflow_name', inserted_at FROM baton.oban_jobs ORDER BY id"
    )
    assert [(row[0], row[1]) for row in rows] == [(job.id, job.name) for job in jobs]
    assert rows[0][2].year > 2020
    kept = await conn.fetchval("SELECT pg_catalog.current_setting('search_path')")
    assert kept == path.replace("'", '"')


SETTINGS = [
    ("DateStyle", "'SQL, DMY'"),
    ("DateStyle", "'German'"),
    ("IntervalStyle", "'iso_8601'"),
    ("TimeZone", "'America/St_Johns'"),
    ("standard_conforming_strings", "off"),
    ("bytea_output", "'escape'"),
    ("extra_float_digits", "-15"),
    ("array_nulls", "off"),
    ("lc_messages", "'C'"),
    ("plan_cache_mode", "force_generic_plan"),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS)
async def test_any_setting(conn: Connection, db: Connection, name: str, value: str) -> None:
    await conn.execute(f"SET {name} TO {value}")
    await (
        pair()
        .add("c", Fetch(key="NULL\\'"), timeout=0.1 + 0.2, tags=["NULL", "a\\"])
        .insert(conn=conn)
    )
    row = await db.fetchrow(
        "SELECT n.timeout, j.tags, j.args, j.scheduled_at = timezone('UTC', w.inserted_at)"
        " FROM baton.workflow_nodes n JOIN baton.oban_jobs j ON j.id = n.job_id"
        " JOIN baton.workflows w ON w.id = n.workflow_id WHERE n.name = 'c'"
    )
    assert row is not None
    assert (row[0], row[1], json.loads(row[2]), row[3]) == (
        0.1 + 0.2,
        ["NULL", "a\\"],
        {"key": "NULL\\'"},
        True,
    )


def refuse(value: Any) -> Any:
    raise AssertionError(f"a codec of the caller was used for {value!r}")


@pytest.mark.parametrize("joined", [True, False])
async def test_any_codec(conn: Connection, db: Connection, joined: bool) -> None:
    types = [
        "json",
        "jsonb",
        "uuid",
        "int2",
        "int4",
        "int8",
        "bool",
        "float8",
        "numeric",
        "interval",
    ]
    for kind in [*types, "timestamp", "timestamptz", "regclass", "void", "name", "varchar"]:
        await conn.set_type_codec(
            kind, schema="pg_catalog", encoder=refuse, decoder=refuse, format="text"
        )
    if joined:
        await conn.execute("BEGIN")
    workflow = pair()
    jobs = await workflow.insert(conn=conn)
    with pytest.raises(WorkflowExistsError):
        await workflow.insert(conn=conn)
    if joined:
        await conn.execute("COMMIT")
    assert await count(db) == 1
    assert [type(job.id) for job in jobs] == [int, int]


async def test_without_a_statement_cache(dsn: str, db: Connection) -> None:
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    await pair().insert(conn=connection)
    await pair().insert(conn=connection)
    await connection.close()
    assert await count(db) == 2
