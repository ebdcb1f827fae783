"""What the commands say, and with which status they end. No password is ever printed."""

from __future__ import annotations

import re
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import typer

from baton.core.dsn import check_dsn
from baton.words.argument_errors import InvalidArgumentError, InvalidNameError, InvalidOptionError
from baton.words.base_error import BatonError

FAILED = 1
MISUSED = 2

_PASSWORD = re.compile(r"(://[^\s'\"@:/]*:)(?!password@)[^\s'\"]*@")
# Shorter ones would blot out words that are no secret.
_SHORTEST_SECRET = 3


def say(text: str) -> None:
    """Tell the operator; the standard output is left to what the command produces."""
    typer.echo(f"baton: {text}", err=True)


def fail(text: str, status: int = FAILED) -> NoReturn:
    """Tell the operator and end the command."""
    say(text)
    raise typer.Exit(status)


def fail_with_traceback(text: str) -> NoReturn:
    """The same for an exception under way in the operator's code."""
    # Their source may hold a DSN.
    fail(_PASSWORD.sub(r"\1***@", f"{text}\n{traceback.format_exc()}"))


def checked_dsn(dsn: str | None) -> str:
    """The DSN, when it is one. What cannot be read is not repeated: it may hold a password."""
    if not dsn:
        fail("which database? Give --dsn or set BATON_DATABASE_URL", MISUSED)
    try:
        return check_dsn(dsn)
    except InvalidOptionError as error:
        named = f"{error.given}: " if str(error.given).startswith("…?") else ""
        fail(f"the DSN cannot be read: {named}expected {error.expected}", MISUSED)


@contextmanager
def reported(dsn: str) -> Generator[None]:
    """End the command with one line when Baton refuses, with a traceback when it is at fault."""
    try:
        yield
    except typer.Exit:
        raise
    except (InvalidNameError, InvalidArgumentError) as error:
        fail(redacted(str(error), dsn), MISUSED)
    except (BatonError, OSError) as error:
        fail(redacted(str(error), dsn))
    except Exception:
        fail(redacted(traceback.format_exc(), dsn))


def redacted(text: str, dsn: str) -> str:
    """The text without the DSN and its password, also where they stand percent-decoded."""
    parts = urlsplit(dsn)
    given = [value for name, value in parse_qsl(parts.query) if name.endswith("password")]
    secrets = {dsn, *given, *(quote(value, safe="") for value in given)}
    if parts.password:
        secrets |= {parts.password, unquote(parts.password)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text
