"""A canonical description of one schema, the same on every PostgreSQL version.

`schema_snapshot.txt` holds it for the migrated schema.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from support.places import TESTS

SNAPSHOT = TESTS / "migrating" / "schema_snapshot.txt"

_QUERIES = (
    """
    SELECT 'type ' || t.typname, string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder)
    FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
    WHERE t.typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) GROUP BY t.typname
    """,
    """
    SELECT 'table ' || c.relname,
        'is ' || CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END
    FROM pg_class c
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
        AND c.relkind IN ('r', 'p', 'v', 'm')
    """,
    """
    SELECT 'table ' || c.relname, 'comment ' || quote_literal(obj_description(c.oid, 'pg_class'))
    FROM pg_class c
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND c.relkind = 'r'
        AND obj_description(c.oid, 'pg_class') IS NOT NULL
    """,
    """
    SELECT 'table ' || c.relname, concat_ws(
        ' ', 'column', a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END,
        'default ' || pg_get_expr(d.adbin, d.adrelid),
        CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END
    )
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
        AND c.relkind IN ('r', 'p')
    ORDER BY c.relname, a.attnum
    """,
    # Version 18 lists NOT NULL among the constraints; the columns tell it already.
    """
    SELECT 'table ' || c.relname,
        'constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid, true)
    FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND k.contype <> 'n'
    ORDER BY k.conname
    """,
    """
    SELECT 'table ' || c.relname, 'index ' || pg_get_indexdef(i.indexrelid, 0, true)
        || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END
    FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    ORDER BY pg_get_indexdef(i.indexrelid, 0, true)
    """,
    """
    SELECT 'table ' || c.relname, 'trigger ' || pg_get_triggerdef(t.oid, true)
    FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    ORDER BY t.tgname
    """,
    """
    SELECT 'table ' || c.relname, 'option ' || o
    FROM pg_class c, unnest(c.reloptions) o
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND c.relkind = 'r'
    ORDER BY o
    """,
    """
    SELECT 'function ' || p.proname || '(' || pg_get_function_arguments(p.oid) || ')', concat_ws(
        ' ', 'returns', pg_get_function_result(p.oid), 'language', l.lanname,
        CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
        CASE WHEN p.prosecdef THEN 'security definer' ELSE 'security invoker' END,
        'set ' || array_to_string(p.proconfig, '; ')
    )
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    """,
)

Description = dict[str, list[str]]


async def describe(connection: Any, schema: str = "baton") -> Description:
    """Object -> its lines; names are unqualified, so that equal schemas compare equal."""
    description: Description = defaultdict(list)
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('search_path', quote_ident($1::text), true)", schema
        )
        for query in _QUERIES:
            for name, line in await connection.fetch(query, schema):
                description[name].append(line)
    return dict(description)


def as_text(description: Description) -> str:
    return (
        "\n\n".join(
            "\n".join([name, *(f"  {line}" for line in lines)])
            for name, lines in sorted(description.items())
        )
        + "\n"
    )
