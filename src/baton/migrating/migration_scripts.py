"""The packaged migrations and the exact SQL that applies, reverts and records them: text only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from baton.migrating.declared import declared_relations
from baton.migrating.functions import dropping, restoring
from baton.migrating.texts import name_literals
from baton.store.packaged import Migration, latest_version, load_functions, load_migrations
from baton.store.sql import DEFAULT_SCHEMA, Sql
from baton.words.argument_errors import InvalidOptionError

LOCK_TIMEOUT = 30.0
STATEMENT_TIMEOUT = 600.0

_CONSTRAINT = re.compile(r"^    CONSTRAINT (\w+) UNIQUE", re.MULTILINE)


def checked_version(option: str, version: int | None) -> int:
    """`version`, or the latest for None; InvalidOptionError when there is no such version."""
    latest = latest_version()
    if version is None:
        return latest
    if not 0 <= version <= latest:
        raise InvalidOptionError(option, version, f"a version from 0 to {latest}")
    return version


def lock_keys(sql: Sql) -> list[int]:
    """The advisory locks of an installation's migrations, in the order in which they are taken: one
    for each of its schemas.
    """
    return sorted({lock_key(sql.schema), lock_key(sql.oban)})


def lock_key(schema: str) -> int:
    """The advisory lock of a schema's migrations, a signed 64-bit key."""
    digest = hashlib.sha256(b"baton migrations\0" + schema.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def opening(sql: Sql, lock_timeout: float = LOCK_TIMEOUT) -> str:
    """Begin a transaction that owes nothing to the session's settings, and take the schemas' locks.

    A client that froze while it held the lock is disconnected by the server after a minute.
    """
    locks = "".join(f"SELECT pg_advisory_xact_lock({key});\n" for key in lock_keys(sql))
    return f"""BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path = pg_catalog;
SET LOCAL client_min_messages = warning;
SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT * 1000:.0f}ms';
SET LOCAL lock_timeout = '{max(lock_timeout * 1000, 1):.0f}ms';
SET LOCAL idle_in_transaction_session_timeout = '60s';
{locks}"""


def applying(sql: Sql, migration: Migration, ahead: Sequence[Migration] = ()) -> str:
    """Record the migration and run it; fails unless the schema is at the version before, and where
    a name that it or one of those `ahead` gives is taken. The latest version brings the functions.
    """
    version = migration.version
    first = sql("create_migrations_table") + "\n" if version == 1 else ""
    record = (
        "INSERT INTO /*schema.*/baton_migrations (version, name, checksum)\n"
        f"VALUES ({version}, '{migration.name}', '{migration.checksum}');\n"
    )
    prepared = _guard(version - 1) + _unclashing([migration, *ahead])
    functions = restoring(sql, load_functions()) if version == latest_version() else ""
    return first + sql.render(prepared + record + "\n" + migration.up) + functions


def reverting(sql: Sql, migration: Migration) -> str:
    """Drop the functions, run the migration's way back and forget it; fails unless it is the last
    one applied. Functions belong to the latest version of the Baton that made them, which may be
    this one or an older one.
    """
    forget = (
        f"DELETE FROM /*schema.*/baton_migrations WHERE version = {migration.version};\n"  # noqa: S608
        if migration.version > 1
        else "DROP TABLE /*schema.*/baton_migrations;\n"
    )
    prepared = _guard(migration.version) + dropping(load_functions())
    return sql.render(f"{prepared}\n{migration.down}\n{forget}")


def migration_sql(
    from_: int = 0,
    to: int | None = None,
    schema: str = DEFAULT_SCHEMA,
    *,
    oban_schema: str | None = None,
    transactions: bool = True,
) -> str:
    """The SQL that takes `schema`, with oban_jobs in `oban_schema` (None: the same), from version
    `from_` to version `to` (None: the latest), to be run by hand, for instance with `psql -v
    ON_ERROR_STOP=1`. The functions come with the latest version; from the latest to the latest it
    makes the functions alone.

    It has its own BEGIN and COMMIT: one transaction per version upwards, a single one downwards.
    With `transactions=False` it is one statement without them, for another tool's transaction, such
    as a migration of Alembic's: `op.get_bind().exec_driver_sql(…)`. It refuses to run when the
    schema is at another version.
    Raises InvalidOptionError, InvalidNameError.
    """
    sql = Sql(schema, oban_schema)
    start, end = checked_version("from_", from_), checked_version("to", to)
    migrations = load_migrations()
    if start == end == latest_version():
        parts = [sql.render(_guard(end)) + restoring(sql, load_functions())]
    elif start <= end:
        parts = [
            applying(sql, migration, migrations[migration.version : end])
            for migration in migrations[start:end]
        ]
    else:
        parts = ["\n".join(reverting(sql, m) for m in reversed(migrations[end:start]))]
    if not transactions:
        return _one_statement(sql, "\n".join(parts)) if parts else ""
    return "\n".join(f"{opening(sql)}\n{text}\nCOMMIT;\n" for text in parts)


def _one_statement(sql: Sql, script: str) -> str:
    inner, outer = "$script$", "$baton$"
    while inner in script:
        inner = f"{inner[:-1]}_$"
    while outer in script:
        outer = f"{outer[:-1]}_$"
    locks = "".join(
        f"    PERFORM pg_catalog.pg_advisory_xact_lock({key});\n" for key in lock_keys(sql)
    )
    return f"""DO {outer}
DECLARE
    v_path text := pg_catalog.current_setting('search_path');
    v_messages text := pg_catalog.current_setting('client_min_messages');
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
    PERFORM pg_catalog.set_config('client_min_messages', 'warning', true);
{locks}    EXECUTE {inner}
{script}
{inner};
    PERFORM pg_catalog.set_config('client_min_messages', v_messages, true);
    PERFORM pg_catalog.set_config('search_path', v_path, true);
END
{outer};
"""


def _unclashing(migrations: Sequence[Migration]) -> str:
    objects = declared_relations(tuple(migrations)) - {("table", "baton_migrations")}
    tables = [name for kind, name in objects if kind == "table"]
    names = [name for _, name in objects]
    names += [name for migration in migrations for name in _CONSTRAINT.findall(migration.up)]
    if not names:
        return ""
    return f"""DO $clash$
DECLARE
    v_taken text := (
        SELECT string_agg(t.name, ', ' ORDER BY t.name)
        FROM (
            SELECT CASE
                WHEN c.relkind IN ('r', 'p') THEN 'table '
                WHEN c.relkind = 'i' THEN 'index '
                ELSE 'relation '
            END || c.relname AS name
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = /*schema_literal*/'baton' AND c.relname IN ({name_literals(names)})
            UNION ALL
            SELECT 'type ' || t.typname
            FROM pg_type t
            JOIN pg_namespace n ON n.oid = t.typnamespace
            WHERE n.nspname = /*schema_literal*/'baton' AND t.typrelid = 0
                AND t.typname IN ({name_literals(tables or names)})
        ) t
    );
BEGIN
    IF v_taken IS NOT NULL THEN
        RAISE EXCEPTION 'the schema % has what Baton would make itself: %',
            quote_ident(/*schema_literal*/'baton'), v_taken
            USING ERRCODE = 'duplicate_object', HINT = 'give Baton a schema of its own: '
                'baton migrate --schema NAME, and Engine(dsn, schema="NAME"); '
                'or drop it, if it is left of an earlier Baton';
    END IF;
END
$clash$;
"""  # noqa: S608


def _guard(version: int) -> str:
    # The type of a deleted job's state tells which schema's oban_jobs Baton's tables go with.
    return f"""DO $guard$
DECLARE
    v_version integer := (SELECT coalesce(max(version), 0) FROM /*schema.*/baton_migrations);
    v_oban text := (
        SELECT o.nspname
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_namespace o ON o.oid = t.typnamespace
        WHERE n.nspname = /*schema_literal*/'baton' AND c.relname = 'workflow_deleted_jobs'
            AND a.attname = 'state' AND t.typname = 'oban_job_state'
    );
BEGIN
    IF v_oban <> /*oban_literal*/'baton' THEN
        RAISE EXCEPTION 'the jobs of this installation stand in the schema %, not in %',
            quote_ident(v_oban), quote_ident(/*oban_literal*/'baton')
            USING HINT = 'name the schema of oban_jobs, with oban_schema or --oban-schema';
    END IF;
    IF v_version <> {version} THEN
        RAISE EXCEPTION 'the schema is at version %, expected {version}', v_version;
    END IF;
END
$guard$;
"""  # noqa: S608
