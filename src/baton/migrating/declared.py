"""What the packaged migrations say of tables, columns and indexes, read from their texts: what a
database must hold to be the schema of this Baton.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from baton.migrating.texts import catalog_name
from baton.store.packaged import Migration, load_migrations

# Unconditional statements start a line; what stands indented in a DO block may or may not be made.
_CREATE = r"CREATE (?:OR REPLACE |UNLOGGED |UNIQUE )*"
_UNIQUE = re.compile(r"^CREATE UNIQUE INDEX (\w+)", re.MULTILINE)
_STATEMENT = re.compile(
    rf"^(?:(?P<create>{_CREATE})|DROP )(?P<kind>TABLE|INDEX) (?:IF (?:NOT )?EXISTS )?"
    r"(?:/\*schema\.\*/)?(?P<name>\w+)",
    re.MULTILINE,
)
_TABLE = re.compile(
    r"^CREATE TABLE /\*schema\.\*/(?P<name>\w+) \(\n(?P<columns>.*?)\n\)", re.MULTILINE | re.DOTALL
)
_COLUMN = re.compile(
    r"^    (?P<name>[a-z_]+) +(?:/\*(?:schema|oban)\.\*/)?"
    r"(?P<type>(?:double precision|[a-z_]+)(?:\[\])?)",
    re.MULTILINE,
)


@lru_cache(maxsize=16)
def declared_relations(migrations: tuple[Migration, ...]) -> frozenset[tuple[str, str]]:
    """(kind, name) of every table and index that the migrations leave for certain."""
    objects = {("table", "baton_migrations")}
    for migration in migrations:
        for match in _STATEMENT.finditer(migration.up):
            found = (match["kind"].lower(), match["name"])
            if match["create"]:
                objects.add(found)
            else:
                objects.discard(found)
    return frozenset(objects)


def table_names() -> frozenset[str]:
    """The tables that Baton uses and migrates itself, oban_jobs among them: what another tool's
    comparison of the database, such as Alembic's autogenerate, must leave alone.
    """
    declared = declared_relations(load_migrations())
    return frozenset({"oban_jobs"} | {name for kind, name in declared if kind == "table"})


@lru_cache(maxsize=1)
def unique_indexes(migrations: tuple[Migration, ...]) -> frozenset[str]:
    """The indexes that forbid a row twice."""
    return frozenset(name for migration in migrations for name in _UNIQUE.findall(migration.up))


@lru_cache(maxsize=1)
def declared_columns(migrations: tuple[Migration, ...]) -> Mapping[tuple[str, str], str]:
    """(table, column) -> type of Baton's own tables, as pg_type names it ("_text" is an array)."""
    return {
        (table["name"], column["name"]): catalog_name(column["type"])
        for migration in migrations
        for table in _TABLE.finditer(migration.up)
        for column in _COLUMN.finditer(table["columns"])
    }
