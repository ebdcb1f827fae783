"""What a connection string says, as libpq, providers and other tools write them.

What cannot be read is never shown: it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from baton.core.near_names import nearest
from baton.core.session_settings import is_session_setting
from baton.words.argument_errors import InvalidOptionError

_SCHEMES = ("postgresql", "postgres")
_SCHEME = re.compile(r"([a-z0-9]+)(?:\+([a-z0-9]+))?")
_HOST = re.compile(r"(\[[^]]*\]|[^:]*)(:[0-9]*)?")
DSN_EXPECTED = (
    "postgresql://user:password@host:port/database, with special characters of the password "
    "percent-encoded"
)

_PLACE = ("host", "port")

_DRIVERS_LISTED = """
    database dbname gsslib krbsrvname passfile password service ssl_max_protocol_version
    ssl_min_protocol_version sslcert sslcrl sslkey sslmode sslnegotiation sslpassword sslrootcert
    target_session_attrs user
"""
_DRIVERS_OWN = frozenset(_DRIVERS_LISTED.split())
"""Parameters that the driver understands."""

_LEFT_OUT_LISTED = """
    application_name async_fallback channel_binding client_encoding connection_limit
    fallback_application_name gssdelegation gssencmode keepalives keepalives_count keepalives_idle
    keepalives_interval max_protocol_version min_protocol_version pool_max_conns pool_timeout
    prepared_statement_cache_size prepared_statement_name_func schema servicefile socket_timeout
    sslcertmode sslcompression sslcrldir sslsni statement_cache_size supa tcp_user_timeout
    uselibpqcompat workaround
"""
_LEFT_OUT = frozenset(_LEFT_OUT_LISTED.split())
"""Client-side parameters of libpq and of other libraries that say nothing to the server. Baton sets
its own application name and encoding, and holds dead connections for lost by its time-outs.
"""

_UNKEPT = {
    "hostaddr": "the address as the host; leave hostaddr out",
    "replication": "Baton does not replicate; leave it out",
    "require_auth": "the driver cannot keep this promise; leave it out",
    "requirepeer": "the driver cannot keep this promise; leave it out",
}

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FLAGS = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """A DSN as it is used. Its parts are not shown: they may hold a password."""

    places: tuple[str, ...]
    """A DSN for each host, in the order given."""
    connect_timeout: float | None
    """Bound of each attempt at a host in seconds."""
    pooled: bool
    """A pooler in transaction mode stands before the server."""
    prefers_standby: bool
    shuffled: bool
    """The hosts are tried in any order."""
    has_password: bool

    def __repr__(self) -> str:
        return f"<ConnectionString of {len(self.places)} hosts>"


def check_dsn(given: object) -> str:
    """The DSN. Raises InvalidOptionError, whose facts hold nothing of it but its scheme or the name
    of a parameter.
    """
    read_dsn(given)
    return str(given)


def read_dsn(given: object) -> ConnectionString:
    """What a DSN says. Parameters of libpq and of other tools that need nothing of the server are
    understood or left out. Raises InvalidOptionError, as `check_dsn` does.
    """
    if not isinstance(given, str):
        raise InvalidOptionError("dsn", type(given), DSN_EXPECTED)
    scheme, separator, _ = given.partition("://")
    known = _SCHEME.fullmatch(scheme)
    shown = f"{scheme}://…" if known and separator else "…"
    if known and known[1] in _SCHEMES and known[2]:
        raise InvalidOptionError("dsn", shown, f"{DSN_EXPECTED}; leave out '+{known[2]}'")
    if scheme not in _SCHEMES or not _readable(given):
        raise InvalidOptionError("dsn", shown, DSN_EXPECTED)
    parts = urlsplit(given)
    # As the driver does, of a parameter given twice the last one counts.
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    kept = {name: value for name, value in query.items() if _is_kept(name)}
    ssl = _ssl_mode(query)
    if ssl is not None:
        kept.setdefault("sslmode", ssl)
    return ConnectionString(
        places=_places(parts, kept),
        connect_timeout=_connect_timeout(query),
        pooled=_flag("pgbouncer", query),
        prefers_standby=query.get("target_session_attrs") == "prefer-standby",
        shuffled=_one_of("load_balance_hosts", query, ("disable", "random")) == "random",
        has_password=bool(parts.password or query.get("password")),
    )


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


_UNDERSTOOD = ("connect_timeout", "load_balance_hosts", "pgbouncer", "ssl")


def _is_kept(name: str) -> bool:
    """Whether the driver gets to see a parameter. Raises InvalidOptionError for an unknown one."""
    if name in _LEFT_OUT or name in _UNDERSTOOD:
        return False
    if name in _PLACE or name in _DRIVERS_OWN or is_session_setting(name):
        return True
    expected = _UNKEPT.get(name)
    if expected is None:
        names = sorted({*_DRIVERS_OWN, *_LEFT_OUT, *_PLACE, *_UNDERSTOOD})
        meant = nearest(name, names)
        expected = "a parameter of libpq or a session setting of PostgreSQL" + (
            f"; is {meant} meant?" if meant else ""
        )
    raise InvalidOptionError("dsn", f"…?{name}=…", expected)


def _places(parts: SplitResult, query: Mapping[str, str]) -> tuple[str, ...]:
    login, at, hosts = parts.netloc.rpartition("@")
    rest = {name: value for name, value in query.items() if name not in _PLACE}
    if hosts:
        netlocs = [f"{login}{at}{host}" for host in hosts.split(",")]
        ports = _ports(query, len(netlocs))
        return tuple(
            _dsn(parts, netloc, rest if port is None else {**rest, "port": port})
            for netloc, port in zip(netlocs, ports, strict=True)
        )
    given = query["host"].split(",") if query.get("host") else [None]
    return tuple(
        _dsn(
            parts,
            parts.netloc,
            {
                **rest,
                **({} if host is None else {"host": host}),
                **({} if port is None else {"port": port}),
            },
        )
        for host, port in zip(given, _ports(query, len(given)), strict=True)
    )


def _ports(query: Mapping[str, str], hosts: int) -> Sequence[str | None]:
    if not query.get("port"):
        return [None] * hosts
    ports = query["port"].split(",")
    if not all(port.isdecimal() for port in ports) or len(ports) not in (1, hosts):
        raise InvalidOptionError("dsn", "…?port=…", "one port, or one for each host")
    return ports * hosts if len(ports) == 1 else ports


def _dsn(parts: SplitResult, netloc: str, query: Mapping[str, str]) -> str:
    # By hand: `urlunsplit` drops the slashes of an empty host.
    asked = f"?{urlencode(query)}" if query else ""
    return f"{parts.scheme}://{netloc}{parts.path}{asked}"


def _connect_timeout(query: Mapping[str, str]) -> float | None:
    given = query.get("connect_timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        expected = "a number of seconds, 0 for no bound of its own"
        raise InvalidOptionError("dsn", "…?connect_timeout=…", expected)
    return seconds or None


def _ssl_mode(query: Mapping[str, str]) -> str | None:
    given = query.get("ssl")
    if given is None or given in _SSL_MODES:
        return given
    if given.lower() in _FLAGS:
        return "require" if _FLAGS[given.lower()] else "disable"
    raise InvalidOptionError("dsn", "…?ssl=…", f"true, false, or one of {', '.join(_SSL_MODES)}")


def _flag(name: str, query: Mapping[str, str]) -> bool:
    given = query.get(name, "false").lower()
    if given not in _FLAGS:
        raise InvalidOptionError("dsn", f"…?{name}=…", "true or false")
    return _FLAGS[given]


def _one_of(name: str, query: Mapping[str, str], known: Sequence[str]) -> str | None:
    given = query.get(name)
    if given is not None and given not in known:
        raise InvalidOptionError("dsn", f"…?{name}=…", f"one of {', '.join(known)}")
    return given
