"""What the packaged migrations say of functions and columns, read from their texts: what a database
must hold to be the schema of this Baton.

A function is trusted by its text, not by its name: a copy of a schema may hold functions that work
on the schema it was copied from, and an older Baton may have left some.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from baton.migrating.migration_scripts import dropping
from baton.store.packaged import Migration
from baton.store.sql import Sql

_FUNCTION = re.compile(
    r"^CREATE (?:OR REPLACE )?FUNCTION /\*schema\.\*/(?P<name>\w+)\((?P<arguments>[^)]*)\)\s+"
    r"RETURNS (?:TABLE \((?P<columns>[^)]*)\)|(?P<type>[\w\[\] ]+?))\s+"
    r"LANGUAGE (?P<language>\w+)\n(?P<volatility>STABLE\n)?(?P<settings>(?:SET [^\n]+\n)*)"
    r"AS (?P<quote>\$\w*\$)(?P<body>.*?)(?P=quote);$",
    re.MULTILINE | re.DOTALL,
)
_TABLE = re.compile(
    r"^CREATE TABLE /\*schema\.\*/(?P<name>\w+) \(\n(?P<columns>.*?)\n\)", re.MULTILINE | re.DOTALL
)
_COLUMN = re.compile(
    r"^    (?P<name>[a-z_]+) +(?:/\*schema\.\*/)?"
    r"(?P<type>(?:double precision|[a-z_]+)(?:\[\])?)",
    re.MULTILINE,
)

# As pg_type names them; other types have one name only.
_TYPES = {
    "bigint": "int8",
    "boolean": "bool",
    "double precision": "float8",
    "integer": "int4",
    "smallint": "int2",
}


@dataclass(frozen=True, slots=True)
class Function:
    """One function: the statement that makes it, with schema markers, and the SHA-256 that the
    query read_schema_facts finds in a database that holds it.
    """

    name: str
    statement: str
    fingerprint: str


@lru_cache(maxsize=8)
def declared_functions(sql: Sql, migrations: tuple[Migration, ...]) -> Mapping[str, Function]:
    """The functions that the migrations leave, by name."""
    functions: dict[str, Function] = {}
    for migration in migrations:
        for match in _FUNCTION.finditer(migration.up):
            functions[match["name"]] = Function(
                match["name"],
                re.sub(r"\ACREATE (?:OR REPLACE )?", "CREATE OR REPLACE ", match[0]),
                _fingerprint(sql, match.groupdict("")),
            )
    return functions


def restoring(sql: Sql, migrations: tuple[Migration, ...], names: Iterable[str]) -> str:
    """SQL that makes these functions as the migrations leave them, in place of others of the same
    names; the search path is pg_catalog. What a role may do with them stays where it can.
    """
    functions = declared_functions(sql, migrations)
    return sql.render(
        "".join(
            f"""DO $restore$
BEGIN
{functions[name].statement}
    IF (
        SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = /*schema_literal*/'public' AND p.proname = '{name}'
    ) > 1 THEN
        RAISE invalid_function_definition;
    END IF;
EXCEPTION WHEN invalid_function_definition THEN
    -- It has other parameters, or a namesake: an older version of it was left.
{dropping([name])}
{functions[name].statement}
END
$restore$;
"""  # noqa: S608
            for name in names
        )
    )


@lru_cache(maxsize=1)
def declared_columns(migrations: tuple[Migration, ...]) -> Mapping[tuple[str, str], str]:
    """(table, column) -> type of Baton's own tables, as pg_type names it ("_text" is an array)."""
    return {
        (table["name"], column["name"]): _type_name(column["type"])
        for migration in migrations
        for table in _TABLE.finditer(migration.up)
        for column in _COLUMN.finditer(table["columns"])
    }


def _fingerprint(sql: Sql, parts: Mapping[str, str]) -> str:
    arguments = _listed(parts["arguments"])
    listed = [*arguments, *_listed(parts["columns"])]
    settings = [
        line.removeprefix("SET ").replace(" = ", "=", 1) for line in parts["settings"].splitlines()
    ]
    text = "\n".join(
        [
            str(len(arguments)),
            ",".join(name for name, _ in listed),
            ",".join(kind for _, kind in listed),
            _type_name(parts["type"]) or "record",
            parts["language"],
            "s" if parts["volatility"] else "v",
            "f",  # not SECURITY DEFINER
            ";".join(settings),
            sql.render(parts["body"]).replace("\r", ""),
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _listed(text: str) -> list[tuple[str, str]]:
    """(name, type) of each parameter in a list such as "p_ids bigint[], p_notify boolean"."""
    if not text.strip():
        return []
    split = (part.split(maxsplit=1) for part in text.split(","))
    return [(name, _type_name(kind.strip())) for name, kind in split]


def _type_name(declared: str) -> str:
    element = declared.removesuffix("[]")
    name = _TYPES.get(element, element)
    return f"_{name}" if element != declared else name
