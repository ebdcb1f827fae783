"""SQL text for one installation: validated names, rendered markers, query files by name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from baton.words.argument_errors import InvalidNameError

_FIRST_COMMENTS = re.compile(r"\A(?P<comments>(?:--[^\n]*\n)+)(?P<verb>\w+)")

DEFAULT_SCHEMA = "baton"
OBAN_INSERT = "oban_insert"
"""Oban's own channel for new jobs, which stands in the schema of oban_jobs."""
DEADLINES = "baton_deadline"
"""Rings the timers of deadlines: a workflow with one was inserted."""

MAX_NAME_BYTES = 63
MAX_CHANNEL_BYTES = len("baton_finished")
MAX_SCHEMA_BYTES = MAX_NAME_BYTES - len(".") - MAX_CHANNEL_BYTES

# A literal that goes on with a dot is one literal: `'jobs.baton_finished'`.
_MARKER = re.compile(
    r"/\*(?:schema|oban)\.\*/|/\*(?:schema|oban)_literal\*/'(?:[^']|'')*'(?: \|\| '\.)?"
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
    """Renders SQL for Baton's tables and functions in `schema`, and the queue's `oban_jobs` in
    `oban_schema` (None: the same); make it once per installation.

    A schema may have any name of 1 to 48 bytes that does not start with "pg_"; the limit leaves
    room for the notification channels, which it prefixes and which PostgreSQL cuts at 63 bytes.
    Raises InvalidNameError.
    """

    schema: str = DEFAULT_SCHEMA
    oban_schema: str | None = field(default=None, compare=False)
    oban: str = field(init=False, repr=False)
    """The schema of oban_jobs by name, also where it is Baton's."""
    identifier: str = field(init=False, repr=False, compare=False)
    literal: str = field(init=False, repr=False, compare=False)
    oban_identifier: str = field(init=False, repr=False, compare=False)
    oban_literal: str = field(init=False, repr=False, compare=False)
    _rendered: dict[str, str] = field(
        init=False, repr=False, compare=False, default_factory=dict[str, str]
    )

    def __post_init__(self) -> None:
        name = _schema_name(self.schema, "schema")
        oban = name if self.oban_schema is None else _schema_name(self.oban_schema, "oban_schema")
        object.__setattr__(self, "oban", oban)
        object.__setattr__(self, "identifier", quote_identifier(name))
        object.__setattr__(self, "literal", quote_literal(name))
        object.__setattr__(self, "oban_identifier", quote_identifier(oban))
        object.__setattr__(self, "oban_literal", quote_literal(oban))

    def __call__(self, query: str) -> str:
        """The rendered text of `baton/store/queries/<query>.sql`."""
        text = self._rendered.get(query)
        if text is None:
            text = self._rendered[query] = self.render(_query_text(query))
        return text

    def render(self, text: str) -> str:
        """Replace the markers: `/*schema.*/name` becomes the qualified name,
        `/*schema_literal*/'baton'` the schema as a literal; `/*oban.*/` and `/*oban_literal*/` are
        the same for the schema of oban_jobs. None may stand inside a literal.

        `/*schema_literal*/'baton' || '.name'` becomes one literal, which tools that copy a schema
        find as they find a qualified name.
        """
        return _MARKER.sub(lambda match: self._replacement(match[0]), text)

    def channel(self, name: str) -> str:
        """The notification channel `name` (at most 14 bytes), unquoted: Oban's own for new jobs is
        `channel(OBAN_INSERT)`, all others are Baton's.
        """
        schema = self.oban if name == OBAN_INSERT else self.schema
        return f"{schema}.{_checked(name, 'channel', MAX_CHANNEL_BYTES)}"

    def schema_of(self, table: str) -> str:
        """The schema that holds this table, by name."""
        return self.oban if table == "oban_jobs" else self.schema

    def qualified(self, table: str) -> str:
        """The table as an SQL identifier with its schema."""
        return f"{quote_identifier(self.schema_of(table))}.{quote_identifier(table)}"

    @property
    def arguments(self) -> str:
        """What a command of `baton` needs to work on this installation."""
        oban = "" if self.oban == self.schema else f" --oban-schema {self.oban}"
        return f"--schema {self.schema}{oban}"

    def _replacement(self, found: str) -> str:
        if found == "/*schema.*/":
            return f"{self.identifier}."
        if found == "/*oban.*/":
            return f"{self.oban_identifier}."
        if found.startswith("/*"):
            literal = self.oban_literal if found.startswith("/*oban") else self.literal
            return f"{literal[:-1]}." if found.endswith(".") else literal
        # A schema named like the delimiter of a dollar-quoted body would end that body.
        while found in self.schema or found in self.oban:
            found = f"{found[:-1]}_$"
        return found


def _schema_name(name: str, option: str) -> str:
    checked = _checked(name, option, MAX_SCHEMA_BYTES)
    if checked.startswith("pg_"):
        expected = "a name that does not start with 'pg_', which PostgreSQL reserves"
        raise InvalidNameError(option, name, expected)
    return checked


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
