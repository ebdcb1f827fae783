"""SQL text for one schema: validated names, rendered markers, query files by name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from baton.words.errors import InvalidNameError

_FIRST_COMMENTS = re.compile(r"\A(?P<comments>(?:--[^\n]*\n)+)(?P<verb>\w+)")

MAX_NAME_BYTES = 63
MAX_CHANNEL_BYTES = len("baton_finished")
MAX_SCHEMA_BYTES = MAX_NAME_BYTES - len(".") - MAX_CHANNEL_BYTES

# A literal that goes on with a dot is one literal: `'jobs.baton_finished'`.
_MARKER = re.compile(
    r"/\*schema\.\*/|/\*schema_literal\*/'(?:[^']|'')*'(?: \|\| '\.)?"
    r"|\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$"
)

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

# The keywords that quote_ident quotes: all that pg_get_keywords() does not call unreserved, in
# PostgreSQL 14 to 18; and those of PL/pgSQL, which end a statement inside a function.
_QUOTED_WORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
boolean both case cast char character check coalesce collate collation column concurrently
constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user dec decimal default deferrable desc distinct do else end except
exists extract false fetch float for foreign freeze from full grant greatest group grouping
having ilike in initially inner inout int integer intersect interval into is isnull join json
json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
json_serialize json_table json_value lateral leading least left like limit localtime
localtimestamp merge_action national natural nchar none normalize not notnull null nullif
numeric offset on only or order out outer overlaps overlay placing position precision primary
real references returning right row select session_user setof similar smallint some substring
symmetric system_user table tablesample then time timestamp to trailing treat trim true union
unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
begin by declare execute foreach if loop strict while
"""
_KEYWORDS = frozenset(_QUOTED_WORDS.split())


def quote_identifier(name: str, kind: str = "identifier") -> str:
    """The name as an SQL identifier, quoted where PostgreSQL's quote_ident quotes it: tools that
    copy a schema look for its name in that form. Any name PostgreSQL can hold is allowed.

    Raises InvalidNameError unless it is 1 to 63 bytes of UTF-8 without NUL.
    """
    checked = _checked(name, kind, MAX_NAME_BYTES)
    if _PLAIN.fullmatch(checked) and checked not in _KEYWORDS:
        return checked
    return '"' + checked.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """The text (without NUL) as an SQL literal, whatever standard_conforming_strings says."""
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in doubled else f"'{doubled}'"


@dataclass(frozen=True, slots=True)
class Sql:
    """Renders SQL for one schema; make it once per schema.

    The schema may have any name of 1 to 48 bytes that does not start with "pg_"; the limit leaves
    room for the notification channels, which it prefixes and which PostgreSQL cuts at 63 bytes.
    Raises InvalidNameError.
    """

    schema: str
    identifier: str = field(init=False, repr=False, compare=False)
    literal: str = field(init=False, repr=False, compare=False)
    _rendered: dict[str, str] = field(
        init=False, repr=False, compare=False, default_factory=dict[str, str]
    )

    def __post_init__(self) -> None:
        name = _checked(self.schema, "schema", MAX_SCHEMA_BYTES)
        if name.startswith("pg_"):
            raise InvalidNameError(
                "schema", name, "a name that does not start with 'pg_', which PostgreSQL reserves"
            )
        object.__setattr__(self, "identifier", quote_identifier(name, "schema"))
        object.__setattr__(self, "literal", quote_literal(name))

    def __call__(self, query: str) -> str:
        """The rendered text of `baton/store/queries/<query>.sql`."""
        text = self._rendered.get(query)
        if text is None:
            text = self._rendered[query] = self.render(_query_text(query))
        return text

    def render(self, text: str) -> str:
        """Replace the markers: `/*schema.*/name` becomes the qualified name,
        `/*schema_literal*/'public'` the schema as a literal. Neither may stand inside a literal.

        `/*schema_literal*/'public' || '.name'` becomes one literal, which tools that copy a schema
        find as they find a qualified name.
        """
        return _MARKER.sub(lambda match: self._replacement(match[0]), text)

    def channel(self, name: str) -> str:
        """The notification channel `name` (at most 14 bytes) of this schema, unquoted.

        Oban's own channel for new jobs is `channel("oban_insert")`.
        """
        return f"{self.schema}.{_checked(name, 'channel', MAX_CHANNEL_BYTES)}"

    def _replacement(self, found: str) -> str:
        if found == "/*schema.*/":
            return f"{self.identifier}."
        if found.startswith("/*"):
            return f"{self.literal[:-1]}." if found.endswith(".") else self.literal
        # A schema named like the delimiter of a dollar-quoted body would end that body.
        while found in self.schema:
            found = f"{found[:-1]}_$"
        return found


def _checked(name: str, kind: str, limit: int) -> str:
    expected = f"1 to {limit} bytes of UTF-8 text without NUL"
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidNameError(kind, name, expected)
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidNameError(kind, name, expected) from error
    if not 1 <= size <= limit or "\0" in name:
        raise InvalidNameError(kind, name, expected)
    return name


@cache
def _query_text(name: str) -> str:
    text = files("baton").joinpath("store", "queries", f"{name}.sql").read_text("utf-8")
    # Tracers name a statement by its first word; the comment tells people what it does.
    return _FIRST_COMMENTS.sub(r"\g<verb> \g<comments>", text)
