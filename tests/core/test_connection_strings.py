"""Connection strings as libpq, providers and other tools write them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from baton.core.dsn import check_dsn, read_dsn
from baton.errors import InvalidOptionError

BASE = "postgresql://app:pw@db.example.com:6432/orders"

# What providers and tools hand out, with what the driver is to see of it.
HANDED_OUT = {
    "Neon": ("sslmode=require&channel_binding=require", {"sslmode": "require"}),
    "Neon's endpoint": ("options=endpoint%3Dep-x&sslmode=require", {"options": "endpoint=ep-x"}),
    "Prisma": ("schema=public&pgbouncer=true&connection_limit=1&pool_timeout=0", {}),
    "Prisma's certificates": ("sslmode=require&socket_timeout=5", {"sslmode": "require"}),
    "Supabase by Vercel": ("sslmode=require&supa=base-pooler.x", {"sslmode": "require"}),
    "libpq": (
        (
            "connect_timeout=10&keepalives=1&keepalives_idle=30&keepalives_interval=10"
            "&keepalives_count=3&tcp_user_timeout=9&gssencmode=disable&application_name=web"
            "&fallback_application_name=web&client_encoding=utf8&load_balance_hosts=disable"
        ),
        {},
    ),
    "Heroku": ("ssl=true", {"sslmode": "require"}),
    "node-postgres": ("sslmode=require&uselibpqcompat=true", {"sslmode": "require"}),
    "SQLAlchemy": ("prepared_statement_cache_size=0", {}),
    "a session setting": ("statement_timeout=5000&TimeZone=UTC", {"statement_timeout": "5000"}),
    "an application's setting": ("app.tenant=7", {"app.tenant": "7"}),
    "the driver": (
        "target_session_attrs=read-write&sslrootcert=/ca.pem&passfile=/x",
        {"target_session_attrs": "read-write", "sslrootcert": "/ca.pem", "passfile": "/x"},
    ),
}


@pytest.mark.parametrize(("query", "seen"), HANDED_OUT.values(), ids=HANDED_OUT)
def test_what_is_handed_out_is_understood(query: str, seen: dict[str, str]) -> None:
    (place,) = read_dsn(f"{BASE}?{query}").places
    parts = urlsplit(place)
    assert (parts.netloc, parts.path) == ("app:pw@db.example.com:6432", "/orders")
    shown = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert shown.items() >= seen.items()
    client_side = {
        *("application_name", "channel_binding", "client_encoding", "connect_timeout"),
        *("connection_limit", "fallback_application_name", "gssencmode", "keepalives"),
        *("load_balance_hosts", "pgbouncer", "pool_timeout", "schema", "ssl", "supa"),
    }
    assert not shown.keys() & client_side


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sslmod=require", "is sslmode meant"),
        ("chanel_binding=require", "is channel_binding meant"),
        ("conect_timeout=3", "is connect_timeout meant"),
        ("frobnicate=1", "a parameter of libpq or a session setting"),
        ("require_auth=scram-sha-256", "cannot keep this promise"),
        ("replication=database", "does not replicate"),
        ("hostaddr=10.0.0.1", "the address as the host"),
        ("connect_timeout=soon", "a number of seconds"),
        ("connect_timeout=-1", "a number of seconds"),
        ("connect_timeout=nan", "a number of seconds"),
        ("pgbouncer=maybe", "true or false"),
        ("ssl=perhaps", "true, false, or one of"),
        ("load_balance_hosts=always", "one of disable, random"),
    ],
)
def test_what_is_not_known_is_refused_by_name(query: str, expected: str) -> None:
    with pytest.raises(InvalidOptionError, match=expected) as caught:
        check_dsn(f"{BASE}?password=s3cret&{query}")
    assert query.partition("=")[0] in str(caught.value)
    assert "s3cret" not in str(caught.value) + repr(vars(caught.value))
    assert query.partition("=")[2] not in repr(vars(caught.value)["given"])


@pytest.mark.parametrize(
    ("dsn", "places"),
    [
        ("postgresql://a,b/x", ["postgresql://a/x", "postgresql://b/x"]),
        (
            "postgresql://u:p@a:1,b:2,[::1]:3/x?sslmode=disable",
            [
                "postgresql://u:p@a:1/x?sslmode=disable",
                "postgresql://u:p@b:2/x?sslmode=disable",
                "postgresql://u:p@[::1]:3/x?sslmode=disable",
            ],
        ),
        (
            "postgresql://u@/x?host=/tmp/a,/tmp/b&port=1,2",
            [
                "postgresql://u@/x?host=%2Ftmp%2Fa&port=1",
                "postgresql://u@/x?host=%2Ftmp%2Fb&port=2",
            ],
        ),
        (
            "postgresql:///x?host=a,b&port=9",
            ["postgresql:///x?host=a&port=9", "postgresql:///x?host=b&port=9"],
        ),
        ("postgresql://u@/x", ["postgresql://u@/x"]),
        ("postgresql://", ["postgresql://"]),
    ],
)
def test_each_host_has_a_string_of_its_own(dsn: str, places: list[str]) -> None:
    assert list(read_dsn(dsn).places) == places


def test_ports_that_do_not_match_the_hosts_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="one for each host"):
        check_dsn("postgresql:///x?host=a,b,c&port=1,2")
    with pytest.raises(InvalidOptionError, match="one for each host"):
        check_dsn("postgresql:///x?host=a&port=x")


def test_what_is_mapped() -> None:
    read = read_dsn(f"{BASE}?connect_timeout=2.5&pgbouncer=1&load_balance_hosts=random")
    assert (read.connect_timeout, read.pooled, read.shuffled) == (2.5, True, True)
    read = read_dsn(f"{BASE}?connect_timeout=0")
    assert (read.connect_timeout, read.pooled, read.shuffled) == (None, False, False)
    assert read_dsn(f"{BASE}?target_session_attrs=prefer-standby").prefers_standby
    assert (read_dsn(BASE).has_password, read_dsn("postgresql://u@h/x").has_password) == (
        True,
        False,
    )
    # An explicit sslmode is the clearer word.
    assert read_dsn(f"{BASE}?ssl=true&sslmode=verify-full").places == (
        f"{BASE}?sslmode=verify-full",
    )


def test_it_shows_no_password() -> None:
    assert "pw" not in repr(read_dsn(BASE))
