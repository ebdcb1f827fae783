"""Whether the schema in a database is the one that this Baton needs. Reads only."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from baton.migrating.migrations import (
    Connection,
    connected,
    database_failures,
    history_problems,
    read_applied,
)
from baton.migrating.schema_facts import (
    MIGRATIONS_TABLE,
    function_problems,
    index_problems,
    job_problems,
    other_jobs,
    read_facts,
    strayed_functions,
    table_problems,
)
from baton.migrating.surroundings import (
    encoding_warnings,
    find_sequence_problems,
    surroundings_warnings,
)
from baton.store.connecting import Password
from baton.store.database import Database, given_store
from baton.store.diagnosis import find_installations
from baton.store.packaged import latest_version
from baton.store.sql import DEFAULT_SCHEMA, Sql
from baton.store.store import Store
from baton.words.schema_errors import SchemaMismatchError, SchemaMissingError

_log = logging.getLogger("baton")


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


async def verify(
    dsn_or_connection: str | Connection,
    *,
    schema: str = DEFAULT_SCHEMA,
    oban_schema: str | None = None,
    password: Password | None = None,
) -> SchemaReport:
    """Compare the schema with what this Baton needs: applied migrations and their checksums,
    tables, indexes and the columns of both, the states of `oban_jobs`, the text of every function,
    and sequences that are behind the ids in use.

    A schema newer than this Baton is a warning, so that old processes outlive an upgrade; so are
    triggers of the application whose functions set no search_path, and row-level security.
    Raises SchemaMissingError when Baton is not installed or older, InvalidNameError,
    UnavailableError.
    """
    sql = Sql(schema, oban_schema)
    async with connected(dsn_or_connection, password=password) as connection:
        with database_failures(None):
            report, slow = await _compare(connection, sql)
            sequences = await find_sequence_problems(connection, sql) if report.ok else []
    problems = (*report.problems, *slow, *sequences)
    return SchemaReport(schema, report.version, report.expected, problems, report.warnings)


async def require(database: Database) -> None:
    """Return when the schema is the one that this Baton needs, as `verify` finds; a missing index
    that only makes things slow is logged, and so is what others put on its tables that may break
    Baton.

    Raises SchemaMissingError when Baton is not installed there or older, SchemaMismatchError,
    MissingRightError when row-level security hides its version from this role,
    InvalidArgumentError for what is no Database.
    """
    await require_schema(given_store(database))


async def require_schema(database: Store) -> None:
    """`require`, of what is below a Database."""
    async with database.connection() as connection:
        report, slow = await _compare(connection, database.sql)
    if not report.ok:
        raise SchemaMismatchError(
            database.schema,
            report.problems,
            f"functions are put right by: baton migrate {database.sql.arguments}"
            if any(problem.startswith("function ") for problem in report.problems)
            else "",
        )
    if slow:
        _log.warning("the schema %r makes Baton slow: %s", database.schema, "; ".join(slow))
    for warning in report.warnings:
        _log.warning("the schema %r: %s", database.schema, warning)


async def _compare(connection: Connection, sql: Sql) -> tuple[SchemaReport, list[str]]:
    """A report without the indexes that only speed things up, and what there is to say of them."""
    expected = latest_version()
    facts = await read_facts(connection, sql)
    history = await read_applied(connection, sql) if MIGRATIONS_TABLE in facts.tables else []
    if len(history) < expected:
        elsewhere = [] if history else await find_installations(connection, sql)
        raise SchemaMissingError(
            sql.schema, len(history) or None, expected, sql.oban_schema, elsewhere
        )
    newer = len(history) - expected
    problems = history_problems(history)
    slow: list[str] = []
    if strayed := other_jobs(facts, sql):
        problems.append(strayed)
    elif newer:
        problems += job_problems(facts)
        problems += strayed_functions(facts, sql)
    else:
        problems += job_problems(facts)
        problems += table_problems(facts)
        problems += function_problems(facts, sql)
        problems += index_problems(facts, unique=True)
        slow += index_problems(facts, unique=False)
    warnings = [*surroundings_warnings(facts, sql), *encoding_warnings(connection)]
    if newer:
        warnings.insert(0, f"the schema is {newer} versions newer than this Baton")
    report = SchemaReport(sql.schema, len(history), expected, tuple(problems), tuple(warnings))
    return report, slow
