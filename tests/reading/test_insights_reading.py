"""Insights need no other right than to read, in any schema and of any form of the table."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, Database, schema
from baton.errors import DatabaseError, UnavailableError, UnknownWorkflowError
from baton.insights import Insights, Page
from reading.test_insights import NOBODY, named
from settling.test_oban_tables import KINDS, oban
from support.databases import execute
from support.looking import Sight, noop, sight
from support.waiting import wait_until_blocked


def _as(dsn: str, role: str) -> str:
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:reader@{host}"))


async def all_questions(seen: Sight, look: Insights) -> None:
    workflow = Baton(workflow_name="w").add("a", noop.new()).add("b", noop.new(), deps=["a"])
    ended = named("w")
    await seen.insert(workflow, ended)
    await seen.end(ended, "failed")
    await seen.engine()
    for state in (None, "running", "completed", "failed", "cancelled"):
        for label in (None, "w"):
            page = await look.workflows(state, label, limit=1)
            assert len(page.rows) == (state not in ("completed", "cancelled"))
    assert (await look.workflow(workflow.workflow_id)).counts.suspended == 1
    assert len((await look.steps(workflow.workflow_id)).rows) == 2
    assert (await look.queues())[0].available == 2
    assert len(await look.engines()) == 1
    assert (await look.why(workflow.workflow_id, "b")).reason == "dependencies"
    with pytest.raises(UnknownWorkflowError):
        await look.steps(NOBODY)


async def test_reading_is_all_that_is_needed(dsn: str, server: str) -> None:
    """A role that may only SELECT, in sessions that may write nothing."""
    role = f"reader_{uuid4().hex}"
    name = dsn.partition("?")[0].rpartition("/")[2]
    await execute(
        dsn,
        f"CREATE ROLE {role} LOGIN PASSWORD 'reader'",
        f'ALTER ROLE {role} IN DATABASE "{name}" SET default_transaction_read_only = on',
        f"GRANT USAGE ON SCHEMA baton TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA baton TO {role}",
    )
    try:
        async with sight(dsn) as seen:
            database = Database(_as(dsn, role))
            await database.open()
            try:
                async with database.connection() as connection:
                    assert await connection.fetchval("SELECT current_user") == role
                    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                        await connection.execute("CREATE TABLE public.t ()")
                await all_questions(seen, Insights(database))
                await seen.execute(f"REVOKE SELECT ON baton.baton_engines FROM {role}")
                with pytest.raises(DatabaseError, match="permission denied for table baton_eng"):
                    await Insights(database).engines()
            finally:
                await database.close()
    finally:
        await execute(dsn, f"DROP OWNED BY {role}")
        await execute(server, f"DROP ROLE {role}")


async def test_any_schema_will_do(empty_dsn: str) -> None:
    """Whatever its name, and beside others."""
    for name in ("baton", 'O"dd é'):
        await schema.migrate(empty_dsn, schema=name)
    async with sight(empty_dsn) as seen:
        await seen.insert(named())
        database = Database(empty_dsn, schema='O"dd é')
        await database.open()
        try:
            look = Insights(database)
            assert await look.workflows() == Page((), None)
            assert await look.queues() == ()
        finally:
            await database.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_errors_are_read_from_every_form_of_the_table(empty_dsn: str, kind: str) -> None:
    await execute(empty_dsn, "CREATE SCHEMA baton", oban(kind))
    await schema.migrate(empty_dsn)
    async with sight(empty_dsn) as seen:
        workflow = named()
        await seen.insert(workflow)
        await seen.execute(
            "UPDATE baton.oban_jobs SET state = 'retryable', attempt = 1,"
            ' errors = errors || \'{"error": "first"}\'::jsonb'
        )
        await seen.execute(
            'UPDATE baton.oban_jobs SET errors = errors || \'{"error": "last"}\'::jsonb'
        )
        (step,) = (await seen.look.steps(workflow.workflow_id)).rows
        assert step.error == "last"
        why = await seen.look.why(workflow.workflow_id, "s0")
        assert (why.reason, why.error) == ("retryable", "last")


async def test_a_database_that_cannot_be_read_is_named(dsn: str) -> None:
    async with sight(dsn) as seen:
        async with seen.connection.transaction():
            await seen.execute("LOCK TABLE baton.oban_jobs IN ACCESS EXCLUSIVE MODE")
            asked = asyncio.create_task(seen.look.queues())
            (pid,) = await wait_until_blocked(dsn)
            await seen.execute("SELECT pg_terminate_backend($1)", pid)
            with pytest.raises(UnavailableError):
                await asked
        assert await seen.look.queues() == ()
        await seen.execute("DROP TABLE baton.baton_engines")
        with pytest.raises(DatabaseError, match="baton_engines"):
            await seen.look.engines()


async def test_settling_stays_heap_only(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = named("hot", 3)
        await seen.insert(workflow)
        async with seen.connection.transaction():
            await seen.execute(
                "UPDATE baton.workflows SET outstanding = outstanding - 1, failed = failed + 1"
            )
            hot = "SELECT pg_stat_get_xact_tuples_hot_updated('baton.workflows'::regclass)"
            assert await seen.connection.fetchval(hot) == 1
