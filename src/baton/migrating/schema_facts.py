"""What a schema holds, and how it differs from what this Baton's migrations make."""

from __future__ import annotations

from dataclasses import dataclass, field

from baton.migrating.declared import declared_columns, declared_relations, unique_indexes
from baton.migrating.functions import declared_functions
from baton.migrating.migration_scripts import STATEMENT_TIMEOUT
from baton.store.borrowed import Connection
from baton.store.packaged import load_migrations
from baton.store.sql import Sql
from baton.words.states import JobState

MIGRATIONS_TABLE = "baton_migrations"

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


@dataclass(slots=True)
class SchemaFacts:
    """What the schemas hold: see the query read_schema_facts."""

    tables: dict[str, bool] = field(default_factory=dict[str, bool])
    """Whether row level security applies to this role."""
    triggers: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Those whose functions set no search path: name, table, function."""
    indexes: dict[str, bool] = field(default_factory=dict[str, bool])
    """Whether each valid index is unique."""
    columns: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    states: set[str] = field(default_factory=set[str])
    oban: str | None = None
    """The schema of the oban_jobs that Baton's tables go with."""
    functions: dict[str, list[tuple[str, bool]]] = field(
        default_factory=dict[str, list[tuple[str, bool]]]
    )
    """By name: the fingerprint of each function of that name, and whether it works on
    another schema."""


async def read_facts(connection: Connection, sql: Sql) -> SchemaFacts:
    """What the schema holds, in one round trip."""
    facts = SchemaFacts()
    for kind, name, part, detail in await connection.fetch(
        sql("read_schema_facts"), timeout=STATEMENT_TIMEOUT
    ):
        match kind:
            case "table":
                facts.tables[name] = detail == "secured"
            case "trigger":
                facts.triggers.append((name, part, detail))
            case "index":
                facts.indexes[name] = detail == "unique"
            case "column":
                facts.columns[name, part] = detail
            case "state":
                facts.states.add(name)
            case "oban":
                facts.oban = name
            case _:
                facts.functions.setdefault(name, []).append((detail, part == "elsewhere"))
    return facts


def missing_tables(facts: SchemaFacts) -> list[str]:
    """Baton's own tables that are not there."""
    declared = {name for kind, name in declared_relations(load_migrations()) if kind == "table"}
    return sorted(declared - facts.tables.keys())


def other_jobs(facts: SchemaFacts, sql: Sql) -> str | None:
    """What to say where Baton's tables go with the oban_jobs of another schema."""
    if facts.oban in (None, sql.oban):
        return None
    return (
        f"the jobs of this installation stand in the schema {facts.oban!r}, not in {sql.oban!r}: "
        f"name the schema of oban_jobs, with oban_schema={facts.oban!r} or --oban-schema"
    )


def differing_functions(facts: SchemaFacts, sql: Sql) -> list[str]:
    """The functions that are missing, have another text than this Baton's for this schema, or have
    a namesake beside them.
    """
    return [
        name
        for name, function in declared_functions(sql).items()
        if [found for found, _ in facts.functions.get(name, [])] != [function.fingerprint]
    ]


def function_problems(facts: SchemaFacts, sql: Sql) -> list[str]:
    """What to say of functions that are not this Baton's, or not of this schema."""
    return [
        f"function {name} is {_fault(facts.functions.get(name, []))}"
        for name in differing_functions(facts, sql)
    ]


def strayed_functions(facts: SchemaFacts, sql: Sql) -> list[str]:
    """What to say of functions that work on another schema, whatever version they are of."""
    return [
        f"function {name} works on another schema than its own"
        for name in declared_functions(sql)
        if any(elsewhere for _, elsewhere in facts.functions.get(name, []))
    ]


def job_problems(facts: SchemaFacts) -> list[str]:
    """What the queue's table lacks, whoever made it."""
    problems: list[str] = []
    for name, types in _JOB_COLUMNS.items():
        found = facts.columns.get(("oban_jobs", name))
        if found is None:
            problems.append(f"oban_jobs.{name} is missing")
        elif found not in types:
            problems.append(f"oban_jobs.{name} is of type {found}, expected {' or '.join(types)}")
    lacking = [state.value for state in JobState if state not in facts.states]
    return problems + [f"oban_job_state lacks {state!r}" for state in lacking]


def table_problems(facts: SchemaFacts) -> list[str]:
    """Baton's own tables and their columns, as the migrations leave them."""
    missing = missing_tables(facts)
    problems = [f"table {name} is missing" for name in missing]
    for (table, column), expected in declared_columns(load_migrations()).items():
        found = facts.columns.get((table, column))
        if table in missing or found == expected:
            continue
        problems.append(
            f"{table}.{column} is missing"
            if found is None
            else f"{table}.{column} is of type {found}, expected {expected}"
        )
    return problems


def index_problems(facts: SchemaFacts, *, unique: bool) -> list[str]:
    """Missing indexes: unique ones keep promises, all others only make things fast."""
    objects = declared_relations(load_migrations())
    guards = unique_indexes(load_migrations())
    return [
        f"index {name} is missing"
        for kind, name in sorted(objects)
        if kind == "index" and (name in guards) is unique
        if facts.indexes.get(name) is not True
        if unique or name not in facts.indexes
    ]


def _fault(found: list[tuple[str, bool]]) -> str:
    if not found:
        return "missing"
    if any(elsewhere for _, elsewhere in found):
        return "of another schema, on whose rows it would work"
    return "not this Baton's: its text, settings or parameters differ, or it has a namesake"
