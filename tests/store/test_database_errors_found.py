"""What stands behind an error of the server is asked for and told: a lock, a sequence, a trigger, a
policy, a schema that is not there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from baton import Baton, Engine, EngineSettings, Plugin, Step, schema, send_event, worker
from baton.errors import (
    DatabaseError,
    MigrationError,
    MissingRightError,
    SchemaMissingError,
    UnavailableError,
)
from baton.store.store import Store
from support.databases import execute
from support.inserting import Client, Connection
from support.public_calls import CALLS, LOGS_ITS_FAILURES, opened_scene
from support.roles import role
from support.running import fast, running
from support.waiting import eventually

AUDIT = """
CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql {option} AS $$
BEGIN
    INSERT INTO audit_log (job_id) VALUES (NEW.id);
    RETURN NEW;
END
$$;
CREATE TRIGGER audit AFTER INSERT ON baton.oban_jobs
FOR EACH ROW EXECUTE FUNCTION public.audit();
CREATE TABLE public.audit_log (job_id bigint);
"""


def gate() -> Baton:
    return Baton().wait("gate", any_of=["x"])


async def insert(engine: Engine) -> None:
    await gate().insert(engine=engine)


@worker(name="found.works")
async def works(step: Step) -> str:
    return "done"


@asynccontextmanager
async def impatient(dsn: str) -> AsyncIterator[Client]:
    """A client that waits for a lock only a moment."""
    client = Client(Store(dsn, lock_timeout=0.02), EngineSettings())
    await client.database.open()
    try:
        yield client
    finally:
        await client.database.close()


async def test_a_lock_of_somebody_else_is_told_and_nothing_is_in_doubt(
    dsn: str, db: Connection
) -> None:
    workflow = gate()
    async with impatient(dsn) as client:
        await workflow.insert(engine=client)
        async with db.transaction():
            await db.execute("LOCK TABLE workflows")
            for call in (
                gate().insert(engine=client),
                send_event(workflow.workflow_id, "x", engine=client),
            ):
                with pytest.raises(UnavailableError, match="lock timeout") as caught:
                    await call
                error = caught.value
                assert (error.sqlstate, error.refused, error.in_doubt) == ("55P03", True, False)
                assert isinstance(error.__cause__, asyncpg.LockNotAvailableError)
                assert "nobody knows" not in str(error)
        await gate().insert(engine=client)


@pytest.mark.parametrize("restored", ["oban_jobs", "workflow_nodes"])
async def test_a_sequence_that_is_behind_is_told_with_its_remedy(
    dsn: str, db: Connection, restored: str
) -> None:
    """As after a restore of the rows alone; with and without the finished jobs' rows."""
    async with fast(dsn, queues={}) as engine:
        for _ in range(3):
            await Baton().add("a", works.new()).insert(engine=engine)
        if restored == "workflow_nodes":
            await db.execute("DELETE FROM oban_jobs")
        await db.execute("SELECT setval(pg_get_serial_sequence('baton.oban_jobs', 'id'), 1)")
        with pytest.raises(DatabaseError, match=r"sequence of oban_jobs\.id is behind") as caught:
            await Baton().add("a", works.new()).insert(engine=engine)
        report = await schema.verify(dsn)
        assert not report.ok
        assert "sequence of oban_jobs.id is at 2 and ids up to 3 are in use" in report.problems[0]
        assert "baton migrate --verify names the SQL that sets it" in str(caught.value)
        remedy = re.search(r"SELECT setval.*;", report.problems[0])
        assert remedy is not None
        await execute(dsn, remedy[0])
        assert (await schema.verify(dsn)).ok
        await Baton().add("a", works.new()).insert(engine=engine)


async def test_the_other_sequences_are_compared_as_well(dsn: str, db: Connection) -> None:
    name = 'Jobs "é"'
    await schema.migrate(dsn, schema=name)
    async with Engine(dsn, schema=name) as engine:
        await gate().insert(engine=engine)
        await send_event(None, "y", correlation_key="k", engine=engine)
        assert (await schema.verify(dsn, schema=name)).ok
        for table in ("workflow_wait_groups", "workflow_events"):
            await db.execute(
                "SELECT setval(pg_get_serial_sequence($1, 'id'), 1, false)", f'"Jobs ""é""".{table}'
            )
            # Where it has not begun, the table's first row is in the way.
            (problem,) = (await schema.verify(dsn, schema=name)).problems
            assert problem.startswith(f"the sequence of {table}.id is at its start and ids up to 1")
            by_key = table == "workflow_events"
            with pytest.raises(DatabaseError, match="is behind the ids in use"):
                await (
                    send_event(None, "y", correlation_key="k", engine=engine)
                    if by_key
                    else insert(engine)
                )
            await execute(dsn, problem.partition("run: ")[2])
            assert (await schema.verify(dsn, schema=name)).ok


async def test_a_trigger_that_does_not_find_its_table_is_named(
    dsn: str, db: Connection, conn: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await db.execute(AUDIT.format(option=""))
    async with fast(dsn, queues={}) as engine:
        assert "trigger 'audit' on oban_jobs runs in Baton's sessions" in caplog.text
        with pytest.raises(DatabaseError, match='relation "audit_log" does not exist') as caught:
            await gate().insert(engine=engine)
        assert not isinstance(caught.value, SchemaMissingError)
        assert "PL/pgSQL function public.audit() line 3" in str(caught.value)
        with pytest.raises(asyncpg.UndefinedTableError):
            await gate().insert(engine=engine, conn=conn)
    report = await schema.verify(dsn)
    assert report.ok
    assert any("trigger 'audit' on oban_jobs" in warning for warning in report.warnings)
    await db.execute("ALTER FUNCTION public.audit() SET search_path = public")
    assert (await schema.verify(dsn)).warnings == ()
    caplog.clear()
    async with fast(dsn, queues={}) as engine:
        await gate().insert(engine=engine)
    assert "audit" not in caplog.text


async def test_what_a_loop_logs_names_the_trigger(
    dsn: str, db: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Of settling and of staging, whose errors no caller sees."""
    await db.execute(AUDIT.format(option="").replace("AFTER INSERT", "AFTER UPDATE"))
    workflow = Baton().add("a", works.new(), schedule_in=0.01)
    async with running(dsn) as run:
        await run.insert(workflow)

        async def told() -> bool:
            return "PL/pgSQL function public.audit() line 3" in caplog.text

        await eventually(told)
        await db.execute("ALTER FUNCTION public.audit() SET search_path = public")
        await run.end(workflow)


async def test_a_migration_says_whose_relation_is_missing(empty_dsn: str) -> None:
    await execute(
        empty_dsn,
        "CREATE FUNCTION public.logs_ddl() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO ddl_log VALUES (tg_tag); END $$",
        "CREATE EVENT TRIGGER logs_ddl ON ddl_command_end EXECUTE FUNCTION public.logs_ddl()",
    )
    with pytest.raises(MigrationError, match=r'"ddl_log" does not exist.*public\.logs_ddl\(\)'):
        await schema.migrate(empty_dsn)


async def test_tables_that_are_not_there_are_told_by_every_call(dsn: str, db: Connection) -> None:
    wrong: dict[str, object] = {}
    async with opened_scene(dsn) as scene:
        await db.execute(
            "ALTER TABLE workflows RENAME TO gone; ALTER TABLE baton_migrations RENAME TO m"
        )
        asked = {
            "Store.connection", "Store.transaction", "WorkflowHandle.completion",
            "Baton.completion",
            "current_version", "migrate", "rollback", "verify", "require",
            *LOGS_ITS_FAILURES,
        }  # fmt: skip
        for name in CALLS.keys() - asked:
            try:
                await CALLS[name](scene)
            except SchemaMissingError:
                continue
            except BaseException as error:
                wrong[name] = error
        await db.execute(
            "ALTER TABLE gone RENAME TO workflows; ALTER TABLE m RENAME TO baton_migrations"
        )
    # These ask other tables alone, which are there.
    assert {name: error for name, error in wrong.items() if isinstance(error, DatabaseError)} == {}


async def test_an_older_schema_is_told_with_its_version(dsn: str, db: Connection) -> None:
    latest = schema.latest_version()
    async with fast(dsn, queues={}) as engine:
        await schema.rollback(dsn, to=latest - 1)
        with pytest.raises(SchemaMissingError) as caught:
            await gate().insert(engine=engine)
        assert (caught.value.found, caught.value.expected) == (latest - 1, latest)
        await schema.migrate(dsn)
        await gate().insert(engine=engine)


async def test_row_level_security_is_told_and_not_taken_for_missing_tables(
    dsn: str, db: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async with role(dsn, "worker") as limited:
        await db.execute("ALTER TABLE baton_migrations ENABLE ROW LEVEL SECURITY")
        for call in (
            Engine(limited).run,
            lambda: schema.verify(limited),
            lambda: schema.migrate(limited),
            lambda: schema.current_version(limited),
        ):
            with pytest.raises(MissingRightError, match=r"row-level security of baton\.baton_mig"):
                await call()
        await db.execute("ALTER TABLE baton_migrations DISABLE ROW LEVEL SECURITY")
        await db.execute("ALTER TABLE oban_jobs ENABLE ROW LEVEL SECURITY")
        async with Engine(limited) as engine:
            assert "row-level security of baton.oban_jobs applies to this role" in caplog.text
            with pytest.raises(MissingRightError, match="row-level security"):
                await Baton().add("a", works.new()).insert(engine=engine)
            warnings = (await schema.verify(limited)).warnings
            assert any("row-level security of baton.oban_jobs" in text for text in warnings)
            await db.execute(
                "CREATE POLICY all_rows ON oban_jobs TO PUBLIC USING (true) WITH CHECK (true)"
            )
            await Baton().add("a", works.new()).insert(engine=engine)
        # Its owner is not bound by it.
        assert (await schema.verify(dsn)).warnings == ()


async def test_a_plugin_alone_tells_what_it_meets_at_its_start(empty_dsn: str) -> None:
    with pytest.raises(SchemaMissingError):
        await Plugin().run(empty_dsn)
