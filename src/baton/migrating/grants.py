"""What a role must be granted, as SQL: text only."""

from __future__ import annotations

from enum import StrEnum

from baton.migrating.declared import table_names
from baton.store.packaged import load_functions
from baton.store.sql import DEFAULT_SCHEMA, Sql, quote_identifier, quote_literal
from baton.words.argument_errors import InvalidOptionError

_ENQUEUED = ("oban_jobs", "workflow_deadlines", "workflow_nodes", "workflows")


class Role(StrEnum):
    """What somebody may do with Baton's tables."""

    WORKER = "worker"
    ENQUEUE = "enqueue"
    READ = "read"


def grants_sql(
    role: str, may: Role | str, *, schema: str = DEFAULT_SCHEMA, oban_schema: str | None = None
) -> str:
    """The SQL that grants an existing role what it needs, to be run by the owner of the schemas,
    again after every migration; running it twice is harmless.

    "worker" runs engines with their plugins, and does everything an application does. "enqueue"
    inserts workflows without wait steps, and waits for their ends and results. "read" looks.
    Raises InvalidOptionError, InvalidNameError.
    """
    try:
        kind = Role(may)
    except ValueError:
        known = ", ".join(repr(known.value) for known in Role)
        raise InvalidOptionError("may", may, f"one of {known}") from None
    sql, grantee = Sql(schema, oban_schema), quote_identifier(role, "role")
    tables = sorted(table_names())
    schemas = ", ".join(dict.fromkeys((sql.identifier, sql.oban_identifier)))
    reads = [f"GRANT USAGE ON SCHEMA {schemas}", _on(sql, "SELECT", tables)]
    match kind:
        case Role.READ:
            grants = reads
        case Role.ENQUEUE:
            grants = [*reads, _on(sql, "INSERT", _ENQUEUED)]
        case Role.WORKER:
            written = [name for name in tables if name != "baton_migrations"]
            grants = [*reads, _on(sql, "INSERT, UPDATE, DELETE", written)]
            grants += [
                f"GRANT EXECUTE ON FUNCTION {sql.identifier}.{quote_identifier(name)}"
                for name in load_functions()
            ]
    text = "".join(f"{grant} TO {grantee};\n" for grant in grants)
    return text if kind is Role.READ else text + _sequence(sql, grantee)


def _on(sql: Sql, rights: str, tables: tuple[str, ...] | list[str]) -> str:
    names = ", ".join(sql.qualified(name) for name in tables)
    return f"GRANT {rights} ON {names}"


def _sequence(sql: Sql, grantee: str) -> str:
    # Its name differs between Oban's tables.
    table = quote_literal(sql.qualified("oban_jobs"))
    body = (
        "BEGIN EXECUTE pg_catalog.format('GRANT USAGE ON SEQUENCE %s TO %s', "
        f"pg_catalog.pg_get_serial_sequence({table}, 'id'), {quote_literal(grantee)}); END"
    )
    return f"DO {quote_literal(body)};\n"
