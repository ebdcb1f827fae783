"""Copies a schema as PostgreSQL's clone tools do: tables with their rows, and functions whose texts
name the copy wherever they named the schema with a dot behind it.
"""

from __future__ import annotations

from typing import Any

import asyncpg

_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = quote_ident($1)::regnamespace AND c.relkind = 'r' ORDER BY c.relname
"""
_STATES = """
SELECT format('CREATE TYPE %I.%I AS ENUM (%s)', $2::text, t.typname,
    string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder))
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
WHERE t.typnamespace = quote_ident($1)::regnamespace
GROUP BY t.typname
"""
_STATE_COLUMNS = """
SELECT c.relname, a.attname, t.typname, pg_get_expr(d.adbin, d.adrelid) IS NOT NULL AS has_default
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type t ON t.oid = a.atttypid AND t.typname IN ('oban_job_state', 'step_state')
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = quote_ident($1)::regnamespace AND c.relkind = 'r'
"""
_CONSTRAINTS = """
SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $2::text, c.relname, k.conname,
    pg_get_constraintdef(k.oid))
FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
WHERE c.relnamespace = quote_ident($1)::regnamespace AND k.contype IN ('p', 'u')
"""
_INDEXES = """
SELECT replace(pg_get_indexdef(i.indexrelid), quote_ident($1) || '.', quote_ident($2) || '.')
FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
WHERE c.relnamespace = quote_ident($1)::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
_FUNCTIONS = """
SELECT replace(pg_get_functiondef(p.oid), quote_ident($1) || '.', quote_ident($2) || '.')
FROM pg_proc p WHERE p.pronamespace = quote_ident($1)::regnamespace
"""
_NUMBERED = """
WITH with_id AS MATERIALIZED (
    SELECT c.relname FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
    WHERE c.relnamespace = quote_ident($1)::regnamespace AND c.relkind = 'r'
)
SELECT w.relname FROM with_id w
WHERE pg_get_serial_sequence(format('%I.%I', $1::text, w.relname), 'id') IS NOT NULL
"""


async def copy_schema(connection: asyncpg.Connection[Any], source: str, copy: str) -> None:
    """Make `copy` from `source`, with its rows."""

    async def values(query: str, *args: object) -> list[Any]:
        return [row[0] for row in await connection.fetch(query, *args)]

    quoted = [name.replace('"', '""') for name in (source, copy)]
    own, new = (f'"{name}"' for name in quoted)
    async with connection.transaction():
        # The texts of functions are copied whatever they name.
        await connection.execute(f"SET LOCAL check_function_bodies = off; CREATE SCHEMA {new}")
        for statement in await values(_STATES, source, copy):
            await connection.execute(statement)
        for table in await values(_TABLES, source):
            await connection.execute(
                f"CREATE TABLE {new}.{table} (LIKE {own}.{table} INCLUDING ALL EXCLUDING INDEXES)"
            )
        for table, column, kind, has_default in await connection.fetch(_STATE_COLUMNS, copy):
            change = f"ALTER COLUMN {column} TYPE {new}.{kind} USING {column}::text::{new}.{kind}"
            if has_default:
                change = (
                    f"ALTER COLUMN {column} DROP DEFAULT, {change}, "
                    f"ALTER COLUMN {column} SET DEFAULT 'available'"
                )
            await connection.execute(f"ALTER TABLE {new}.{table} {change}")
        for table in await values(_TABLES, copy):
            # Through text, for the columns of the state's type.
            await connection.execute(
                f"INSERT INTO {new}.{table} OVERRIDING SYSTEM VALUE "
                f"SELECT (jsonb_populate_record(NULL::{new}.{table}, to_jsonb(t))).* "
                f"FROM {own}.{table} t"
            )
        for query in (_CONSTRAINTS, _INDEXES, _FUNCTIONS):
            arguments = (source, copy)
            for statement in await values(query, *arguments):
                await connection.execute(statement)
        for table in await values(_NUMBERED, copy):
            await connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{new}.{table}', 'id'), "
                f"(SELECT coalesce(max(id), 0) + 1000 FROM {new}.{table}))"
            )
