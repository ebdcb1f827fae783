"""Whether the schema in a database is the one that this Baton needs. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from baton.store.database import Database
from baton.store.migration_scripts import declared_objects, latest_version, load_migrations
from baton.store.migrations import (
    Connection,
    connected,
    database_failures,
    history_problems,
    read_history,
)
from baton.store.sql import Sql
from baton.words.errors import SchemaMissingError
from baton.words.states import JobState

# Oban's Elixir and Python tables differ in the width of small integers and in the form of errors.
_JOB_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("int8",),
    "state": ("oban_job_state",),
    "queue": ("text",),
    "worker": ("text",),
    "attempt": ("int2", "int4"),
    "max_attempts": ("int2", "int4"),
    "priority": ("int2", "int4"),
    "args": ("jsonb",),
    "meta": ("jsonb",),
    "tags": ("_text",),
    "errors": ("jsonb", "_jsonb"),
    "attempted_by": ("_text",),
    "inserted_at": ("timestamp",),
    "scheduled_at": ("timestamp",),
    "attempted_at": ("timestamp",),
    "cancelled_at": ("timestamp",),
    "completed_at": ("timestamp",),
    "discarded_at": ("timestamp",),
}


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What `verify` found. `problems` break Baton; `warnings` are worth a look."""

    schema: str
    version: int
    expected: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """There are no problems."""
        return not self.problems


async def verify(dsn_or_connection: str | Connection, *, schema: str = "public") -> SchemaReport:
    """Compare the schema with what this Baton needs: applied migrations and their checksums,
    tables, functions and indexes, the columns and states of `oban_jobs`.

    A schema newer than this Baton is a warning, so that old processes outlive an upgrade.
    Raises SchemaMissingError when Baton is not installed or older, InvalidNameError,
    UnavailableError.
    """
    sql = Sql(schema)
    expected = latest_version()
    async with connected(dsn_or_connection) as connection:
        with database_failures(None):
            history = await read_history(connection, sql)
            if len(history) < expected:
                raise SchemaMissingError(schema, len(history) or None, expected)
            columns = {
                row["name"]: row["type"] for row in await connection.fetch(sql("read_job_columns"))
            }
            states = {row["state"] for row in await connection.fetch(sql("read_job_states"))}
            objects = {
                (row["kind"], row["name"])
                for row in await connection.fetch(sql("read_schema_objects"))
            }
    newer = len(history) - expected
    missing = declared_objects(load_migrations()) - objects if not newer else ()
    return SchemaReport(
        schema,
        version=len(history),
        expected=expected,
        problems=(
            *history_problems(history),
            *(f"{kind} {name} is missing" for kind, name in sorted(missing)),
            *_column_problems(columns),
            *(f"oban_job_state lacks {state.value!r}" for state in JobState if state not in states),
        ),
        warnings=(f"the schema is {newer} versions newer than this Baton",) if newer else (),
    )


async def require(database: Database) -> None:
    """Return when the schema is recent enough for this Baton, by its version alone.

    Raises SchemaMissingError when Baton is not installed there or older.
    """
    async with database.connection() as connection:
        found = len(await read_history(connection, database.sql))
    if found < latest_version():
        raise SchemaMissingError(database.schema, found or None, latest_version())


def _column_problems(columns: dict[str, str]) -> list[str]:
    problems: list[str] = []
    for name, types in _JOB_COLUMNS.items():
        found = columns.get(name)
        if found is None:
            problems.append(f"oban_jobs.{name} is missing")
        elif found not in types:
            problems.append(f"oban_jobs.{name} is of type {found}, expected {' or '.join(types)}")
    return problems
