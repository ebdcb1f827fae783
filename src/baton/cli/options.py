"""The options that every command has, and how their texts are read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from baton.cli.reporting import MISUSED, fail
from baton.core.jsonvalue import decode

DSN_VARIABLE = "BATON_DATABASE_URL"
SCHEMA_VARIABLE = "BATON_SCHEMA"
OBAN_SCHEMA_VARIABLE = "BATON_OBAN_SCHEMA"

Dsn = Annotated[
    str | None,
    typer.Option(
        envvar=DSN_VARIABLE,
        show_envvar=True,
        help="Connection string of the database; the variable keeps its password out of `ps`.",
    ),
]
Schema = Annotated[
    str,
    typer.Option(envvar=SCHEMA_VARIABLE, show_envvar=True, help="Schema of Baton's tables."),
]
ObanSchema = Annotated[
    str | None,
    typer.Option(
        envvar=OBAN_SCHEMA_VARIABLE,
        show_envvar=True,
        help="Schema of oban_jobs, where it is not Baton's.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
By = Annotated[
    str | None,
    typer.Option(metavar="WHO", help="Who does it, for the record. Default: the system's user."),
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the record.")]

_AGE = re.compile(r"(\d{1,9})\s*(s|min|h|d|w)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(option: str, given: str | None) -> datetime | None:
    """A time, or how long ago it was; ends the command where it is neither."""
    if given is None:
        return None
    try:
        if age := _AGE.fullmatch(given.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        read = datetime.fromisoformat(given.strip())
        return read.replace(tzinfo=read.tzinfo or UTC)
    except (ValueError, OverflowError):
        expected = "a time such as 2026-01-31T08:00, or an age such as 90s, 30min, 2h, 7d"
        fail(f"{option} {given!r}: expected {expected}", MISUSED)


def parse_attributes(option: str, given: list[str] | None) -> dict[str, Any] | None:
    """Attributes from texts such as `tenant=acme`, whose values are JSON or else texts; ends the
    command where one has no name.
    """
    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            fail(f"{option} {text!r}: expected NAME=VALUE, such as tenant=acme", MISUSED)
        found[name] = attribute_value(value)
    return found or None


def attribute_value(text: str) -> Any:
    """What a text is that is JSON, such as `3`; else the text."""
    try:
        return decode(text)
    except ValueError:
        return text
