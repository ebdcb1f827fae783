"""Whether a text can be read as a DSN. What cannot be is never shown: it may hold a password."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from baton.words.errors import InvalidOptionError

_SCHEMES = ("postgresql", "postgres")
_SCHEME = re.compile(r"([a-z0-9]+)(?:\+([a-z0-9]+))?")
_HOST = re.compile(r"(\[[^]]*\]|[^:]*)(:[0-9]*)?")
DSN_EXPECTED = (
    "postgresql://user:password@host:port/database, with special characters of the password "
    "percent-encoded"
)


def check_dsn(given: object) -> str:
    """The DSN. Raises InvalidOptionError, whose facts hold nothing of it but its scheme."""
    if not isinstance(given, str):
        raise InvalidOptionError("dsn", type(given), DSN_EXPECTED)
    scheme, separator, _ = given.partition("://")
    known = _SCHEME.fullmatch(scheme)
    shown = f"{scheme}://…" if known and separator else "…"
    if known and known[1] in _SCHEMES and known[2]:
        raise InvalidOptionError("dsn", shown, f"{DSN_EXPECTED}; leave out '+{known[2]}'")
    if scheme not in _SCHEMES or not _readable(given):
        raise InvalidOptionError("dsn", shown, DSN_EXPECTED)
    return given


def _readable(dsn: str) -> bool:
    try:
        parts = urlsplit(dsn)
        if parts.query:
            parse_qsl(parts.query, strict_parsing=True)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    # An @ further on: the password held a character that ended the host.
    stray = "@" in parts.path + parts.fragment
    # A NUL would end the parameter it stands in, and begin another.
    stray = stray or "\0" in unquote(dsn)
    return bool(parts.scheme) and not stray and all(_HOST.fullmatch(host) for host in hosts)
