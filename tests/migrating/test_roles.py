"""What each role of the documentation may do, and that all else is refused by name, whole."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from baton import (
    Baton,
    Cancel,
    Database,
    Engine,
    Plugin,
    Snooze,
    Step,
    insert_all,
    schema,
    send_event,
    worker,
)
from baton.completion import announce
from baton.errors import (
    BatonError,
    InvalidNameError,
    InvalidOptionError,
    MigrationError,
    MissingRightError,
)
from baton.insights import Insights
from baton.migrating.grants import Role
from baton.schema import grants_sql
from baton.store.sql import quote_identifier
from baton.words.events import ConnectionLost, SweepFinished
from project.test_docs import rows as table_rows
from support.databases import execute
from support.roles import dsn_as, role
from support.running import Tables, fast, opened, recorded
from support.waiting import DEADLINE

TABLES = (
    "oban_jobs",
    "workflows",
    "workflow_nodes",
    "workflow_completions",
    "workflow_wait_groups",
    "workflow_wait_members",
    "workflow_events",
    "workflow_memos",
    "workflow_step_stats",
    "workflow_debug_logs",
    "workflow_step_history",
    "workflow_deleted_jobs",
    "baton_actions",
    "baton_bulk",
)


@worker(name="roles.works")
async def works(step: Step) -> int:
    await step.record_usage(model="house-llm", input_tokens=1, output_tokens=1)
    await step.capture("context", {"of": step.name})
    return 1


@worker(name="roles.waits")
async def waits(step: Step) -> str:
    await step.memo("noted", _noted)
    await step.wait_any("go", timeout=60)
    return "gone"


async def _noted() -> int:
    return 1


@worker(name="roles.gives_up")
async def gives_up(step: Step) -> object:
    return Cancel("enough")


@worker(name="roles.retries", backoff=0.01)
async def retries(step: Step) -> str:
    if step.attempt == 1:
        raise RuntimeError("not yet")
    return "at last"


@worker(name="roles.sleeps")
async def sleeps(step: Step) -> object:
    return Snooze(3600)


def diamond() -> Baton:
    made = Baton(debug=True, workflow_name="diamond").add("a", works.new())
    made.add("b", works.new(), deps=["a"]).add("c", retries.new(), deps=["a"])
    return made.add("d", works.new(), deps=["b", "c"])


def gated() -> Baton:
    return (
        Baton()
        .wait("gate", any_of=["go"], correlation_key="k", timeout=60)
        .add("b", works.new(), deps=["gate"])
    )


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[Tables]:
    async with opened(dsn) as tables:
        yield tables


async def counts(tables: Tables) -> dict[str, int]:
    """How many rows there are, by table, and how often a row was changed."""
    found = {}
    for table in TABLES:
        found[table] = await tables.value(f"SELECT count(*) FROM baton.{table}")
        found[f"{table} versions"] = await tables.value(
            f"SELECT count(DISTINCT xmin::text) FROM baton.{table}"
        )
    return found


async def refused(tables: Tables, *calls: Callable[[], Awaitable[object]]) -> None:
    """Each call raises a MissingRightError, and nothing is written."""
    before = await counts(tables)
    for number, call in enumerate(calls):
        with pytest.raises(MissingRightError) as caught:
            await call()
        assert re.match(
            "permission denied for (schema|table|function|sequence)", caught.value.problem
        ), number
        assert caught.value.problem in str(caught.value)
        assert await counts(tables) == before, number


async def test_a_worker_does_everything_an_application_does(dsn: str, owner: Tables) -> None:
    plugin = Plugin(
        prune=True,
        debug_log_max_age=0,
        job_max_age={"completed": 0, "cancelled": 0, "discarded": 0},
        event_max_age=0,
    )
    async with role(dsn, "worker") as limited:
        with recorded() as events:
            async with fast(limited, plugins=[Plugin(prune=True)]) as engine:
                workflows = [diamond(), gated(), Baton().add("a", waits.new())]
                workflows.append(Baton().add("a", gives_up.new()).add("b", works.new(), deps=["a"]))
                await insert_all(workflows, engine=engine)
                await send_event(None, "go", {"n": 1}, correlation_key="k", engine=engine)
                await send_event(workflows[2].workflow_id, "go", engine=engine)
                ends = [
                    await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
                    for workflow in workflows
                ]
                assert [end.outcome for end in ends] == ["completed"] * 3 + ["cancelled"]
                assert await engine.workflow(workflows[0].workflow_id).result("d") == 1
                await engine.workflow(workflows[0].workflow_id).usage()
                await engine.workflow(workflows[0].workflow_id).captures()
                waiting = gated()
                await waiting.insert(engine=engine)
                assert await engine.insights.waiting_steps()
                assert await engine.workflow(waiting.workflow_id).cancel_wait("gate")
                late = Baton().add("a", sleeps.new())
                await late.insert(engine=engine)
                assert await engine.workflow(late.workflow_id).cancel()
                assert await announce(late.workflow_id, engine=engine) is None
                await Insights(engine.database).workflows()
                for _ in range(3):
                    await plugin.sweep(engine.database)
        assert events.of(ConnectionLost) == []
        assert {event.failed for event in events.of(SweepFinished)} == {()}
        left = await counts(owner)
        assert {left[table] for table in TABLES} == {0}
        before = await owner.value("SELECT count(*) FROM baton.baton_migrations")
        for to in (0, before - 1):
            with pytest.raises((MigrationError, MissingRightError), match="lacks a right: must be"):
                await schema.rollback(limited, to=to)
        with pytest.raises((MigrationError, MissingRightError), match="lacks a right"):
            await schema.migrate(limited, schema="of_its_own")
        assert await owner.value("SELECT count(*) FROM baton.baton_migrations") == before
        connection = await asyncpg.connect(limited)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE baton.baton_migrations SET name = name")
        await connection.close()


async def test_who_enqueues_inserts_and_awaits(dsn: str, owner: Tables) -> None:
    async with (
        role(dsn, "enqueue") as limited,
        fast(dsn) as engine,
        Engine(limited, name="web") as web,
    ):
        first, second, third = diamond(), diamond(), diamond()
        assert len(await first.insert(engine=web)) == 4
        connection = await asyncpg.connect(limited)
        async with connection.transaction():
            await insert_all([second, third], engine=web, conn=connection)
        for workflow in (first, second, third):
            end = await web.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
            assert end.outcome == "completed"
        assert await web.workflow(first.workflow_id).result("d") == 1
        await Insights(web.database).workflows()
        waiting = gated()
        await waiting.insert(engine=engine)
        queued = Baton().add("a", works.new(), queue="nobody")
        await queued.insert(engine=web)

        async def in_a_transaction(call: Callable[[], Awaitable[object]]) -> None:
            async with connection.transaction():
                await call()

        async def kept() -> None:
            """The caller's transaction goes on after the refusal."""
            async with connection.transaction():
                with pytest.raises(MissingRightError):
                    await gated().insert(engine=web, conn=connection)
                assert await connection.fetchval("SELECT 1") == 1

        await kept()
        await refused(
            owner,
            lambda: gated().insert(engine=web),
            lambda: insert_all([diamond(), gated()], engine=web),
            lambda: in_a_transaction(lambda: gated().insert(engine=web, conn=connection)),
            lambda: send_event(waiting.workflow_id, "go", engine=web),
            lambda: send_event(None, "go", correlation_key="k", engine=web),
            lambda: in_a_transaction(
                lambda: send_event(waiting.workflow_id, "go", conn=connection, engine=web)
            ),
            lambda: web.workflow(waiting.workflow_id).cancel_wait("gate"),
            lambda: web.workflow(queued.workflow_id).cancel(),
            lambda: announce(queued.workflow_id, engine=web),
            lambda: fast(limited).__aenter__(),
        )
        for statement in (
            "UPDATE baton.oban_jobs SET queue = 'x'",
            "DELETE FROM baton.oban_jobs",
            "UPDATE baton.workflows SET name = 'x'",
            "DELETE FROM baton.workflow_nodes",
            "TRUNCATE baton.workflow_completions",
            "INSERT INTO baton.workflow_completions DEFAULT VALUES",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()
        await engine.workflow(waiting.workflow_id).cancel()


async def test_who_reads_only_looks(dsn: str, owner: Tables) -> None:
    async with role(dsn, "read") as limited, Engine(limited, name="looks") as reader:
        async with Engine(dsn, name="other") as other:
            waiting = gated().add("x", works.new(), queue="nobody")
            await waiting.insert(engine=other)
        look = Insights(reader.database)
        (row,) = (await look.workflows()).rows
        assert row.workflow_id == waiting.workflow_id
        await look.queues()
        await look.engines()
        await look.why(waiting.workflow_id, "x")
        assert len(await reader.insights.waiting_steps()) == 1
        connection = await asyncpg.connect(limited)
        await refused(
            owner,
            lambda: diamond().insert(engine=reader),
            lambda: diamond().insert(engine=reader, conn=connection),
            lambda: insert_all([diamond(), gated()], engine=reader),
            lambda: send_event(waiting.workflow_id, "go", engine=reader),
            lambda: reader.workflow(waiting.workflow_id).cancel(),
            lambda: reader.workflow(waiting.workflow_id).cancel_wait("gate"),
            lambda: announce(waiting.workflow_id, engine=reader),
            lambda: fast(limited).__aenter__(),
        )
        assert not connection.is_in_transaction()
        await connection.close()


async def test_a_sweep_that_may_not_write_says_so_and_writes_nothing(
    dsn: str, owner: Tables
) -> None:
    async with fast(dsn) as engine:
        workflow = diamond()
        await workflow.insert(engine=engine)
        await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    await owner.execute("DELETE FROM baton.workflow_completions")
    before = await counts(owner)
    async with role(dsn, "read") as limited:
        database = Database(limited)
        await database.open()
        with recorded() as events:
            plugin = Plugin(prune=True, job_max_age={"completed": 0}, debug_log_max_age=0)
            await plugin.sweep(database)
        (failed,) = (event.failed for event in events.of(SweepFinished))
        assert {"announce", "prune jobs", "prune logs"} <= set(failed)
        await database.close()
    assert await counts(owner) == before


async def test_who_has_no_right_is_told(dsn: str, owner: Tables) -> None:
    async with role(dsn) as limited:
        for call in (Engine(limited).run, fast(limited).run, lambda: schema.verify(limited)):
            with pytest.raises(MissingRightError, match="permission denied for schema baton"):
                await call()
        connection = await asyncpg.connect(limited)
        await refused(owner, lambda: diamond().insert(conn=connection))
        await connection.close()


async def test_the_owner_is_no_superuser(server: str, empty_dsn: str) -> None:
    """It migrates, grants, and goes back; in a schema of a strange name, to a role of one."""
    name, odd = 'own\'er "1"; --', 'ro\'le "2" $grant$ %s'
    database = empty_dsn.partition("?")[0].rpartition("/")[2]
    role_name = quote_identifier(odd)
    await execute(
        empty_dsn,
        f"CREATE ROLE owner_{database} LOGIN PASSWORD 'secret'",
        f"ALTER DATABASE {database} OWNER TO owner_{database}",
        f"CREATE ROLE {role_name} LOGIN PASSWORD 'secret'",
    )
    try:
        owner = dsn_as(empty_dsn, f"owner_{database}", "secret")
        assert await schema.migrate(owner, schema=name)
        for may in Role:
            await execute(owner, *[grants_sql(odd, may, schema=name)] * 2)
        limited = dsn_as(empty_dsn, "ro%27le%20%222%22%20%24grant%24%20%25s", "secret")
        async with Engine(
            limited, schema=name, queues={"default": 5}, stage_interval=0.02
        ) as engine:
            workflow = diamond()
            await workflow.insert(engine=engine)
            end = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
            assert end.outcome == "completed"
        assert await schema.rollback(owner, to=0, schema=name)
    finally:
        await execute(
            empty_dsn,
            f"DROP OWNED BY {role_name}; DROP ROLE {role_name}",
            f"ALTER DATABASE {database} OWNER TO CURRENT_USER",
            f"DROP OWNED BY owner_{database} CASCADE; DROP ROLE owner_{database}",
        )


@pytest.mark.parametrize("may", ["owner", "", None, 5, "WORKER"])
def test_unknown_roles_are_refused(may: Any) -> None:
    with pytest.raises(InvalidOptionError, match="'worker', 'enqueue', 'read'"):
        grants_sql("app", may)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, None, "\ud800"])
def test_a_role_has_a_name(name: Any) -> None:
    with pytest.raises(InvalidNameError):
        grants_sql(name, "worker")
    with pytest.raises(BatonError):
        grants_sql("app", "worker", schema="pg_catalog")


def test_the_page_tells_what_is_granted() -> None:
    """Each line of the table against the text."""
    columns = ("worker", "enqueue", "read")
    texts = {may: grants_sql("app", may) for may in columns}
    for on, *cells in table_rows("security.md", "on"):
        named = re.findall("`([a-z_]+)`", on) or ["workflow_events"]
        for may, cell in zip(columns, cells, strict=True):
            granted = texts[may]
            if "schema" in on:
                assert "GRANT USAGE ON SCHEMA baton " in granted
            elif "sequence" in on:
                assert ("SEQUENCE" in granted) == (cell == "`USAGE`"), (on, may)
            elif "functions" in on:
                assert ("EXECUTE ON FUNCTION" in granted) == (cell == "`EXECUTE`"), (on, may)
            else:
                for table in named:
                    listed = re.compile(rf"\.{table}[ ,]")
                    lines = [line for line in granted.splitlines() if listed.search(line)]
                    rights = [re.findall("GRANT (.*) ON", line)[0] for line in lines]
                    assert ", ".join(rights) == cell.strip("`"), (table, may)
