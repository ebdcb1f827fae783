"""The runner: up, down, many migrators at once, killed ones, whatever the database's settings."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest

from baton import schema
from baton.errors import (
    ConnectionTypeError,
    InvalidOptionError,
    MigrationError,
    SchemaMissingError,
    UnavailableError,
)
from baton.migrating.migration_scripts import lock_key
from baton.store.packaged import load_migrations
from support.schema_snapshot import SNAPSHOT, Description, as_text, describe

LATEST = schema.latest_version()
ALL = list(range(1, LATEST + 1))
MIGRATORS = 8


async def until(connection: asyncpg.Connection[Any], query: str) -> Any:
    """The first value that is not null, of a query repeated against a deadline."""
    with anyio.fail_after(20):
        while True:
            value = await connection.fetchval(query)
            if value is not None:
                return value
            await anyio.sleep(0.01)


TRAP = 4711
TRAPPED = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {TRAP} AND NOT granted"
QUEUED = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'baton-migrate' AND wait_event_type = 'Lock' "
    f"AND pid <> ({TRAPPED})"
)


async def set_trap(connection: asyncpg.Connection[Any]) -> None:
    """Make every migration stop after its first change of the schema, until `open_trap`."""
    await connection.execute(f"""
        CREATE SCHEMA trap;
        CREATE FUNCTION trap.close() RETURNS event_trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock({TRAP}); END $$;
        CREATE EVENT TRIGGER trap ON ddl_command_end EXECUTE FUNCTION trap.close();
        SELECT pg_advisory_lock({TRAP});
    """)


async def open_trap(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute(f"DROP EVENT TRIGGER trap; SELECT pg_advisory_unlock({TRAP})")


async def history(connection: asyncpg.Connection[Any], name: str = "baton") -> list[Any]:
    rows = await connection.fetch(
        f'SELECT version, name, checksum, created FROM "{name}".baton_migrations ORDER BY version'
    )
    return [tuple(row) for row in rows]


async def test_up_down_up(empty_dsn: str, connection: asyncpg.Connection[Any]) -> None:
    assert await schema.current_version(empty_dsn) == 0
    assert await schema.migrate(empty_dsn) == ALL
    assert await schema.migrate(empty_dsn) == []
    migrated = await describe(connection)
    assert await schema.current_version(empty_dsn) == LATEST
    assert await schema.rollback(empty_dsn, to=0) == ALL[::-1]
    assert await describe(connection) == {}
    assert await schema.rollback(empty_dsn, to=0) == []
    assert await schema.migrate(empty_dsn) == ALL
    assert await describe(connection) == migrated


async def test_every_version_alone_goes_up_down_and_up(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    before: Description = {}
    for version in ALL:
        assert await schema.migrate(empty_dsn, to=version) == [version]
        after = await describe(connection)
        assert await schema.rollback(empty_dsn, to=version - 1) == [version]
        assert await describe(connection) == before
        assert await schema.migrate(empty_dsn, to=version) == [version]
        assert await describe(connection) == after
        before = after


async def test_the_migrated_schema_is_the_snapshot(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    text = as_text(await describe(connection))
    if os.environ.get("BATON_WRITE_SNAPSHOT"):
        SNAPSHOT.write_text(text, "utf-8")
    assert text == SNAPSHOT.read_text("utf-8"), (
        "the migrated schema is not that of tests/migrating/schema_snapshot.txt; if it is wanted: "
        "BATON_WRITE_SNAPSHOT=1 pytest tests/migrating/test_migrations.py -k snapshot"
    )


async def test_concurrent_migrators_apply_each_version_once(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    applied = await asyncio.gather(*(schema.migrate(empty_dsn) for _ in range(MIGRATORS)))
    assert sorted(version for versions in applied for version in versions) == ALL
    assert [version for version, *_ in await history(connection)] == ALL
    assert (await schema.verify(empty_dsn)).ok
    reverted = await asyncio.gather(*(schema.rollback(empty_dsn, to=0) for _ in range(MIGRATORS)))
    assert sorted(versions for versions in reverted if versions) == [ALL[::-1]]


@pytest.mark.parametrize("version", ALL)
async def test_a_killed_migrator_leaves_nothing_half_done(
    empty_dsn: str, connection: asyncpg.Connection[Any], version: int
) -> None:
    await schema.migrate(empty_dsn, to=version - 1)
    before = await describe(connection)
    await set_trap(connection)
    victim = asyncio.create_task(schema.migrate(empty_dsn))
    pid = await until(connection, TRAPPED)
    survivor = asyncio.create_task(schema.migrate(empty_dsn))
    assert await until(connection, QUEUED) != pid
    await connection.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(UnavailableError):
        await victim
    assert await until(connection, TRAPPED) != pid
    assert await describe(connection) == before
    await open_trap(connection)
    assert await survivor == ALL[version - 1 :]
    assert (await schema.verify(empty_dsn)).ok


async def test_a_cancelled_migrator_leaves_its_connection_clean(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await set_trap(connection)
    callers = await asyncpg.connect(empty_dsn)
    async with anyio.create_task_group() as group:
        group.start_soon(schema.migrate, callers)
        await until(connection, TRAPPED)
        group.cancel_scope.cancel()
    assert not callers.is_in_transaction()
    assert await describe(connection) == {}
    await open_trap(connection)
    assert await schema.migrate(callers) == ALL
    await callers.close()


async def test_a_pooled_connection_serves(empty_dsn: str) -> None:
    async with (
        asyncpg.create_pool(empty_dsn, min_size=1, max_size=1) as pool,
        pool.acquire() as pooled,
    ):
        assert await schema.migrate(pooled) == ALL
        assert (await schema.verify(pooled)).ok
        assert await schema.rollback(pooled, to=0) == ALL[::-1]
        assert await schema.migrate(pooled) == ALL
        assert (await schema.verify(pooled)).ok


async def test_waiting_for_another_migrator_is_bounded(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute("SELECT pg_advisory_lock($1)", lock_key("baton"))
    with pytest.raises(UnavailableError) as caught:
        await schema.migrate(empty_dsn, lock_timeout=0.05)
    assert caught.value.timeout == 0.05
    with pytest.raises(UnavailableError):
        await schema.rollback(empty_dsn, to=0, lock_timeout=0.05)
    assert await describe(connection) == {}
    assert await schema.migrate(empty_dsn, schema="another", lock_timeout=0.05) == ALL


async def test_the_databases_settings_do_not_matter(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, schema="plain")
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    for setting in (
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "search_path = ''",
        "standard_conforming_strings = off",
        "lock_timeout = '1ms'",
        "timezone = 'Asia/Kathmandu'",
    ):
        await connection.execute(f"ALTER DATABASE {database} SET {setting}")
    assert await schema.migrate(empty_dsn, schema="it's \\") == ALL
    assert (await schema.verify(empty_dsn, schema="it's \\")).ok
    assert await describe(connection, "it's \\") == await describe(connection, "plain")
    assert await schema.rollback(empty_dsn, to=0, schema="it's \\") == ALL[::-1]


async def test_a_role_that_owns_only_the_schema(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    role = f"baton_{uuid4().hex}"
    await connection.execute(
        # Before PostgreSQL 15 everybody may create there.
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
        f"CREATE ROLE {role}; CREATE SCHEMA own AUTHORIZATION {role}"
    )
    other = await asyncpg.connect(empty_dsn)
    try:
        await other.execute(f"SET SESSION AUTHORIZATION {role}")
        with pytest.raises(MigrationError, match="permission denied for database"):
            await schema.migrate(other, schema="missing")
        with pytest.raises(MigrationError, match="permission denied for schema"):
            await schema.migrate(other, schema="public")
        assert await schema.migrate(other, schema="own") == ALL
        assert (await schema.verify(other, schema="own")).ok
        assert await schema.rollback(other, to=0, schema="own") == ALL[::-1]
    finally:
        await other.close()
        await connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def test_a_callers_connection_stays_as_it_was(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute("""
        CREATE SCHEMA hostile;
        CREATE FUNCTION hostile.timezone(text, timestamptz) RETURNS timestamp
            LANGUAGE sql IMMUTABLE AS 'SELECT NULL::timestamp';
        CREATE FUNCTION hostile.max(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1000';
        SET search_path = hostile, pg_catalog;
        SET lock_timeout = '7s'
    """)
    await connection.set_type_codec(
        "int4", schema="pg_catalog", encoder=str, decoder=lambda text: f"<{text}>"
    )
    assert await schema.migrate(connection) == ALL
    assert await schema.current_version(connection) == LATEST
    assert (await schema.verify(connection)).ok
    assert await connection.fetchval("SHOW search_path") == "hostile, pg_catalog"
    assert await connection.fetchval("SHOW lock_timeout") == "7s"
    await connection.execute("DROP SCHEMA hostile CASCADE")
    assert as_text(await describe(connection)) == SNAPSHOT.read_text("utf-8")


async def test_a_connection_inside_a_transaction(connection: asyncpg.Connection[Any]) -> None:
    async with connection.transaction():
        with pytest.raises(MigrationError, match="inside a transaction"):
            await schema.migrate(connection)
        with pytest.raises(MigrationError, match="inside a transaction"):
            await schema.rollback(connection, to=0)
        assert await schema.current_version(connection) == 0
        with pytest.raises(SchemaMissingError):
            await schema.verify(connection)
        assert await connection.fetchval("SELECT 1") == 1


async def test_what_is_no_connection() -> None:
    with pytest.raises(ConnectionTypeError):
        await schema.migrate(object())  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        await schema.migrate("postgresql:///none?host=/nowhere")
    with pytest.raises(InvalidOptionError, match="mysql://…"):
        await schema.migrate("mysql://root:secret@nowhere/x")


async def test_versions_that_do_not_exist(empty_dsn: str) -> None:
    for wrong in (-1, LATEST + 1):
        with pytest.raises(InvalidOptionError):
            await schema.migrate(empty_dsn, to=wrong)
        with pytest.raises(InvalidOptionError):
            await schema.rollback(empty_dsn, to=wrong)
        with pytest.raises(InvalidOptionError):
            schema.migration_sql(wrong)
        with pytest.raises(InvalidOptionError):
            schema.migration_sql(0, wrong)


async def test_the_printed_sql_does_the_same(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn, schema="migrated")
    up = schema.migration_sql(schema="printed")
    await connection.execute(up)
    assert await describe(connection, "printed") == await describe(connection, "migrated")
    assert await history(connection, "printed") == await history(connection, "migrated")
    with pytest.raises(asyncpg.RaiseError, match=f"at version {LATEST}, expected 0"):
        await connection.execute(up)
    await connection.execute("ROLLBACK")
    assert await describe(connection, "printed") == await describe(connection, "migrated")
    await connection.execute(schema.migration_sql(LATEST, 1, schema="printed"))
    assert await schema.current_version(empty_dsn, schema="printed") == 1
    await connection.execute(schema.migration_sql(1, 0, schema="printed"))
    assert await describe(connection, "printed") == {}
    assert schema.migration_sql(1, 1) == ""


async def test_a_failing_migration_keeps_the_versions_before_it(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute("""
        CREATE SCHEMA trap;
        CREATE FUNCTION trap.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'no functions here'; END $$;
        CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('CREATE FUNCTION')
            EXECUTE FUNCTION trap.refuse()
    """)
    with pytest.raises(MigrationError, match="no functions here") as caught:
        await schema.migrate(empty_dsn)
    assert caught.value.version == LATEST
    assert await schema.current_version(empty_dsn) == LATEST - 1
    assert not any(name.startswith("function") for name in await describe(connection))
    await connection.execute("DROP EVENT TRIGGER refuse")
    assert await schema.migrate(empty_dsn) == ALL[LATEST - 1 :]


async def test_a_changed_history_is_refused(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute("UPDATE baton_migrations SET checksum = 'x' WHERE version = 2")
    for attempt in (schema.migrate(empty_dsn), schema.rollback(empty_dsn, to=0)):
        with pytest.raises(MigrationError, match=r"version 2 .* another text"):
            await attempt
    await connection.execute("DELETE FROM baton_migrations WHERE version = 1")
    with pytest.raises(MigrationError, match="version 1 is missing"):
        await schema.migrate(empty_dsn)


async def test_an_older_baton_lives_with_a_newer_schema(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await schema.migrate(empty_dsn)
    await connection.execute(
        "INSERT INTO baton_migrations (version, name, checksum) VALUES ($1, 'later', '')",
        LATEST + 1,
    )
    assert await schema.migrate(empty_dsn) == []
    report = await schema.verify(empty_dsn)
    assert report.ok
    assert report.version == LATEST + 1
    assert len(report.warnings) == 1
    with pytest.raises(MigrationError, match="newer Baton"):
        await schema.rollback(empty_dsn, to=0)


def test_every_migration_is_named_and_has_both_directions() -> None:
    assert [migration.version for migration in load_migrations()] == ALL
    for migration in load_migrations():
        assert migration.up.strip()
        assert migration.down.strip()
