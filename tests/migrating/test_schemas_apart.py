"""Baton's tables in a schema of their own, the queue's where Oban has it or in a third place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from baton import Baton, Engine, Plugin, Step, schema, send_event, worker
from baton.completion import check
from baton.errors import MigrationError, SchemaMismatchError, SchemaMissingError
from baton.insights import Insights
from baton.migrating.functions import declared_functions
from baton.store.sql import OBAN_INSERT, Sql
from baton.store.store import Store
from baton.words.states import JobState
from support.databases import execute
from support.places import FIXTURES
from support.roles import dsn_as
from support.running import FAST
from support.schema_snapshot import describe
from support.waiting import DEADLINE

ALL = list(range(1, schema.latest_version() + 1))
KINDS = sorted(file.stem for file in (FIXTURES / "oban").glob("*.sql"))
JOINED = Sql("baton", "public")
THEIRS = """
CREATE TABLE public.workflows (theirs integer);
CREATE TABLE public.workflow_events (theirs integer);
CREATE FUNCTION public.baton_settle_and_claim() RETURNS integer LANGUAGE sql AS 'SELECT 1'
"""


@worker(name="tests.apart")
async def works(step: Step) -> str:
    return "done"


@worker(name="tests.apart.waits")
async def waits(step: Step) -> Any:
    return await step.wait_for("go", timeout=30)


@pytest.fixture
async def connection(empty_dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(empty_dsn, server_settings={"search_path": "pg_catalog"})
    yield connection
    await connection.close()


def oban(kind: str) -> str:
    return JOINED.render((FIXTURES / "oban" / f"{kind}.sql").read_text("utf-8"))


async def runs(dsn: str, **options: Any) -> Baton:
    """A workflow with a dependency, a wait inside a step and a gate comes to its end."""
    workflow = (
        Baton()
        .add("a", works.new())
        .add("b", waits.new(), deps=["a"])
        .wait("gate", any_of=["never"], timeout=0.01)
    )
    async with Engine(dsn, plugins=[Plugin()], **options, **FAST) as engine:
        await workflow.insert(engine=engine)
        await send_event(workflow.workflow_id, "go", engine=engine)
        completion = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        assert completion.outcome.value == "completed"
        assert await engine.workflow(workflow.workflow_id).result("a") == "done"
        detail = await Insights(engine.database).workflow(workflow.workflow_id)
        assert detail is not None
    return workflow


async def test_by_default_nothing_is_made_in_public(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(THEIRS)
    before = await describe(connection, "public")
    assert await schema.migrate(empty_dsn) == ALL
    await runs(empty_dsn)
    assert await describe(connection, "public") == before
    assert await schema.rollback(empty_dsn, to=1) == ALL[:0:-1]
    assert await describe(connection, "public") == before


@pytest.mark.parametrize("kind", KINDS)
async def test_it_joins_the_oban_that_is_there(
    empty_dsn: str, connection: asyncpg.Connection[Any], kind: str
) -> None:
    await connection.execute(oban(kind))
    await connection.execute(THEIRS)
    await connection.execute("INSERT INTO public.oban_jobs (worker, queue) VALUES ('Their', 'own')")
    before = await describe(connection, "public")
    before.pop("type oban_job_state")

    assert await schema.migrate(empty_dsn, oban_schema="public") == ALL
    assert (await schema.verify(empty_dsn, oban_schema="public")).ok
    after = await describe(connection, "public")
    assert "suspended" in after.pop("type oban_job_state")[0]
    (trigger,) = set(after["table oban_jobs"]) - set(before["table oban_jobs"])
    assert "AFTER DELETE" in trigger
    assert "baton.baton_keep_deleted_jobs()" in trigger
    after["table oban_jobs"] = [line for line in after["table oban_jobs"] if line != trigger]
    assert after == before
    assert not [name for name in await describe(connection, "baton") if "oban" in name]
    await runs(empty_dsn, oban_schema="public")
    assert await connection.fetchval("SELECT count(*) FROM public.oban_jobs") == 4

    assert await schema.rollback(empty_dsn, oban_schema="public", to=0) == ALL[::-1]
    after = await describe(connection, "public")
    after.pop("type oban_job_state")
    assert after == before
    assert await describe(connection, "baton") == {}
    assert await connection.fetchval("SELECT count(*) FROM public.oban_jobs") == 4


async def test_the_queue_is_made_in_a_schema_of_its_own(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    apart: dict[str, Any] = {"schema": "it's", "oban_schema": 'The "queue"'}
    assert await schema.migrate(empty_dsn, **apart) == ALL
    assert (await schema.verify(empty_dsn, **apart)).ok
    await schema.migrate(empty_dsn, schema="together")
    together = await describe(connection, "together")
    made = await describe(connection, "it's") | await describe(connection, 'The "queue"')
    assert made.keys() == together.keys()
    await runs(empty_dsn, **apart)
    await connection.execute('DELETE FROM "The ""queue""".oban_jobs')
    assert await schema.rollback(empty_dsn, to=0, **apart) == ALL[::-1]
    assert await describe(connection, "it's") == await describe(connection, 'The "queue"') == {}


async def test_the_printed_sql_does_the_same(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(oban("oban_py"))
    before = await describe(connection, "public")
    await schema.migrate(empty_dsn, oban_schema="public")
    migrated = await describe(connection, "baton")
    await schema.rollback(empty_dsn, to=0, oban_schema="public")
    await connection.execute(schema.migration_sql(oban_schema="public"))
    assert await describe(connection, "baton") == migrated
    assert (await schema.verify(empty_dsn, oban_schema="public")).ok
    down = schema.migration_sql(ALL[-1], 0, oban_schema="public")
    await connection.execute(down)
    assert await describe(connection, "baton") == {}
    assert await describe(connection, "public") == before


async def test_jobs_that_others_host_are_settled(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    """`check` settles the step of a job whose row another host writes."""
    await connection.execute(oban("elixir_v14"))
    await schema.migrate(empty_dsn, oban_schema="public")
    workflow = Baton().add("a", works.new(), queue="elixir").add("b", works.new(), deps=["a"])
    async with Engine(empty_dsn, oban_schema="public", **FAST) as engine:
        first, _ = await workflow.insert(engine=engine)
        await check(first, JobState.COMPLETED, engine=engine)
        completion = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    assert completion.outcome.value == "completed"


async def test_a_callers_connection_reaches_both_schemas(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(oban("oban_py"))
    await schema.migrate(empty_dsn, oban_schema="public")
    workflow = Baton().add("a", works.new()).wait("gate", any_of=["go"], deps=["a"])
    async with Engine(empty_dsn, oban_schema="public", **FAST) as engine:
        async with connection.transaction():
            await workflow.insert(engine=engine, conn=connection)
            await send_event(workflow.workflow_id, "go", engine=engine, conn=connection)
        completion = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    assert completion.outcome.value == "completed"


async def test_new_jobs_are_announced_on_obans_channel_and_ends_on_batons(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(oban("oban_py"))
    await schema.migrate(empty_dsn, oban_schema="public")
    heard: dict[str, asyncio.Event] = {}
    for channel in ("public.oban_insert", "baton.oban_insert", "baton.baton_finished"):
        heard[channel] = asyncio.Event()
        await connection.add_listener(channel, lambda _c, _p, name, _b: heard[name].set())
    await runs(empty_dsn, oban_schema="public")
    async with asyncio.timeout(DEADLINE):
        await heard["public.oban_insert"].wait()
        await heard["baton.baton_finished"].wait()
    assert not heard["baton.oban_insert"].is_set()


async def test_an_installation_that_is_addressed_without_its_queue_stays_as_it_is(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    """The functions would be made to work on another oban_jobs."""
    await connection.execute(oban("oban_py"))
    await schema.migrate(empty_dsn, oban_schema="public")
    before = await describe(connection, "baton"), await describe(connection, "public")
    wrong: list[dict[str, Any]] = [{}, {"oban_schema": "other"}]
    for options in wrong:
        with pytest.raises(MigrationError, match="stand in the schema 'public'"):
            await schema.migrate(empty_dsn, **options)
        with pytest.raises(MigrationError, match="stand in the schema public, not in"):
            await schema.rollback(empty_dsn, to=0, **options)
        with pytest.raises(asyncpg.RaiseError, match="stand in the schema public"):
            await connection.execute(schema.migration_sql(ALL[-1], 0, **options))
        await connection.execute("ROLLBACK")
        (problem,) = (await schema.verify(empty_dsn, **options)).problems
        assert "oban_schema='public' or --oban-schema" in problem
        with pytest.raises(SchemaMismatchError, match="oban_schema='public'"):
            async with Engine(empty_dsn, **options, **FAST):
                pass
    assert (await describe(connection, "baton"), await describe(connection, "public")) == before
    assert (await schema.verify(empty_dsn, oban_schema="public")).ok


async def test_errors_name_the_whole_command(empty_dsn: str) -> None:
    with pytest.raises(SchemaMissingError) as caught:
        await schema.verify(empty_dsn, oban_schema="public")
    assert caught.value.oban_schema == "public"
    assert "baton migrate --schema baton --oban-schema public" in str(caught.value)
    await schema.migrate(empty_dsn, oban_schema="public")
    await execute(empty_dsn, "ALTER FUNCTION baton.baton_wake RESET search_path")
    with pytest.raises(SchemaMismatchError, match="baton migrate --schema baton --oban-schema pub"):
        async with Engine(empty_dsn, oban_schema="public", **FAST):
            pass
    await execute(empty_dsn, "ALTER TABLE public.oban_jobs DROP COLUMN meta")
    report = await schema.verify(empty_dsn, oban_schema="public")
    assert "oban_jobs.meta is missing" in report.problems


async def test_a_sequence_behind_its_ids_is_named_with_its_own_schema(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, oban_schema="public")
    await runs(empty_dsn, oban_schema="public")
    await connection.execute("ALTER TABLE public.oban_jobs ALTER id RESTART")
    (problem,) = (await schema.verify(empty_dsn, oban_schema="public")).problems
    await connection.execute(problem.partition("run: ")[2])
    assert (await schema.verify(empty_dsn, oban_schema="public")).ok


async def test_a_worker_role_is_granted_both_schemas(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute(oban("elixir_v12"))
    await schema.migrate(empty_dsn, oban_schema="public")
    name = f"baton_{Baton().workflow_id.hex}"
    await connection.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD '{name}'; REVOKE ALL ON SCHEMA public FROM PUBLIC;"
        + schema.grants_sql(name, "worker", oban_schema="public")
    )
    try:
        await runs(dsn_as(empty_dsn, name, name), oban_schema="public")
    finally:
        await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_migrators_of_installations_that_share_a_schema_take_turns(empty_dsn: str) -> None:
    """One makes its queue where the other has its tables."""
    applied = await asyncio.gather(
        *(schema.migrate(empty_dsn, schema="one", oban_schema="two") for _ in range(4)),
        *(schema.migrate(empty_dsn, schema="two") for _ in range(4)),
    )
    assert sorted(version for versions in applied for version in versions) == sorted(ALL * 2)
    assert (await schema.verify(empty_dsn, schema="one", oban_schema="two")).ok
    assert (await schema.verify(empty_dsn, schema="two")).ok


def test_one_place_renders_both_names() -> None:
    sql = Sql("one", "two")
    text = "/*schema.*/workflows /*oban.*/oban_jobs /*schema_literal*/'baton' /*oban_literal*/'x'"
    assert sql.render(text) == "one.workflows two.oban_jobs 'one' 'two'"
    assert sql.render("/*oban_literal*/'baton' || '.oban_insert'") == "'two.oban_insert'"
    assert (sql.channel(OBAN_INSERT), sql.channel("baton_waits")) == (
        "two.oban_insert",
        "one.baton_waits",
    )
    assert sql.qualified("oban_jobs") == "two.oban_jobs"
    assert sql.qualified("workflows") == "one.workflows"
    assert sql.arguments == "--schema one --oban-schema two"
    assert Sql("one").arguments == "--schema one"
    assert Sql("one") == Sql("one", "one")
    assert sql != Sql("one")
    one, two = declared_functions(Sql("one")), declared_functions(sql)
    assert one["baton_settle_and_claim"].fingerprint != two["baton_settle_and_claim"].fingerprint


def test_a_database_keeps_both_names() -> None:
    database = Store("postgresql://nowhere", oban_schema="public")
    assert (database.schema, database.sql.oban) == ("baton", "public")
