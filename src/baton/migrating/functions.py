"""The functions of the schema: what their files declare, and the SQL that makes or drops them.

A function is trusted by its text, not by its name: a copy of a schema may hold functions that work
on the schema it was copied from, and an older Baton may have left some.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from baton.migrating.texts import catalog_name, name_literals
from baton.store.packaged import load_functions
from baton.store.sql import Sql
from baton.words.schema_errors import MigrationError

_FUNCTION = re.compile(
    r"(?:--[^\n]*\n)*(?P<statement>CREATE OR REPLACE FUNCTION "
    r"/\*schema\.\*/(?P<name>\w+)\((?P<arguments>[^)]*)\)\s+"
    r"RETURNS (?:TABLE \((?P<columns>[^)]*)\)|(?P<type>[\w\[\] ]+?))\s+"
    r"LANGUAGE (?P<language>\w+)\n(?P<volatility>STABLE\n)?"
    r"(?P<rights>SECURITY DEFINER\n)?(?P<settings>(?:SET [^\n]+\n)*)"
    r"AS (?P<quote>\$\w*\$)(?P<body>.*?)(?P=quote);)\n",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Function:
    """One function: the statement that makes it, with schema markers, and the SHA-256 that the
    query read_schema_facts finds in a database that holds it.
    """

    name: str
    statement: str
    fingerprint: str


@lru_cache(maxsize=8)
def declared_functions(sql: Sql) -> Mapping[str, Function]:
    """The packaged functions, by name. Raises MigrationError for a file that does not hold one
    function of the file's name, in the form that all have.
    """
    functions: dict[str, Function] = {}
    for name, text in load_functions().items():
        match = _FUNCTION.fullmatch(text)
        if match is None or match["name"] != name:
            raise MigrationError(
                None, f"functions/{name}.sql is not one CREATE OR REPLACE FUNCTION {name}"
            )
        functions[name] = Function(name, match["statement"], _fingerprint(sql, match.groupdict("")))
    return functions


def restoring(sql: Sql, names: Iterable[str]) -> str:
    """SQL that makes these functions as their files say, in place of others of the same names; the
    search path is pg_catalog. What a role may do with them stays where it can.
    """
    functions = declared_functions(sql)
    return sql.render(
        "".join(
            f"""DO $restore$
BEGIN
{functions[name].statement}
    IF (
        SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = /*schema_literal*/'baton' AND p.proname = '{name}'
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


def dropping(functions: Iterable[str]) -> str:
    """SQL with schema markers that drops the functions of these names, whatever their parameters
    are, with the triggers that call them; the search path is pg_catalog.
    """
    return f"""DO $drop$
DECLARE
    v_function text;
    v_trigger  text;
BEGIN
    FOR v_trigger IN
        SELECT format('%I ON %s', t.tgname, t.tgrelid::regclass)
        FROM pg_trigger t
        JOIN pg_proc p ON p.oid = t.tgfoid
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = /*schema_literal*/'baton' AND p.proname IN ({name_literals(functions)})
    LOOP
        EXECUTE 'DROP TRIGGER ' || v_trigger;
    END LOOP;
    FOR v_function IN
        SELECT p.oid::regprocedure::text
        FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = /*schema_literal*/'baton' AND p.proname IN ({name_literals(functions)})
    LOOP
        EXECUTE 'DROP FUNCTION ' || v_function;
    END LOOP;
END
$drop$;
"""  # noqa: S608


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
            catalog_name(parts["type"]) or "record",
            parts["language"],
            "s" if parts["volatility"] else "v",
            "t" if parts["rights"] else "f",
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
    return [(name, catalog_name(kind.strip())) for name, kind in split]
