"""A server that refuses a login says why, and no password is shown."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from baton import Engine, schema
from baton.testing import embedded_postgres
from baton.words.errors import UnavailableError
from support.databases import execute, run_apart

ACCESS = "local all postgres trust\nlocal all stranger reject\nlocal all all scram-sha-256\n"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that wants passwords, of all but its superuser."""
    with tempfile.NamedTemporaryFile("w") as access:
        access.write(ACCESS)
        access.flush()
        Path(access.name).chmod(0o644)
        with embedded_postgres(settings={"hba_file": access.name, "fsync": "off"}) as dsn:
            run_apart(execute(dsn, "CREATE ROLE app LOGIN PASSWORD 'r1ght'"))
            yield dsn


@pytest.mark.parametrize(
    ("login", "told"),
    [
        (
            "app:w0rd",
            'the database refused the login: password authentication failed for user "app"',
        ),
        ("nobody:w0rd", "the database refused the login: password authentication failed"),
        ("stranger:w0rd", "the database refused the login: pg_hba.conf rejects connection"),
    ],
)
async def test_a_refused_login_is_told(guarded: str, login: str, told: str) -> None:
    dsn = guarded.replace("postgres@", f"{login}@")
    for call in (Engine(dsn).run, lambda: schema.migrate(dsn)):
        with pytest.raises(UnavailableError) as caught:
            await call()
        assert str(caught.value).startswith(told)
        assert caught.value.refused
        assert "w0rd" not in "".join(traceback.format_exception(caught.value)).replace(login, "")


async def test_a_database_that_may_not_be_entered_is_told(guarded: str) -> None:
    await execute(
        guarded, "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC"
    )
    dsn = guarded.replace("postgres@/postgres", "app:r1ght@/closed")
    with pytest.raises(UnavailableError, match="refused the login: permission denied") as caught:
        await Engine(dsn).run()
    assert "\n" not in str(caught.value)
    missing = guarded.replace("postgres@/postgres", "app:r1ght@/missing")
    with pytest.raises(UnavailableError, match=r'^database "missing" does not exist$'):
        await Engine(missing).run()
