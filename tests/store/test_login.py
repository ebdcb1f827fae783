"""A server that refuses a login says why, and no password is shown."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sys
import traceback
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from baton import Baton, Database, Engine, Plugin, Step, schema, worker
from baton.cli.reporting import redacted
from baton.contrib.logs import log_events
from baton.errors import UnavailableError
from support.databases import execute, run_apart
from support.guarding import guarded_server
from support.running import fast, opened, recorded
from support.waiting import DEADLINE

PASSWORD = "a!b@c$d()e*_,/:;=?@ff[]22 w0rd%41"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that wants passwords, of all but its superuser."""
    with guarded_server() as dsn:
        run_apart(execute(dsn, "CREATE ROLE app LOGIN PASSWORD 'r1ght'"))
        run_apart(execute(dsn, f"CREATE ROLE odd SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))
        run_apart(schema.migrate(dsn))
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
    with pytest.raises(UnavailableError, match=r'^database "missing" does not exist: create it'):
        await Engine(missing).run()


@worker(name="login.works")
async def works(step: Step) -> str:
    return "done"


@worker(name="login.fails", max_attempts=1)
async def fails(step: Step) -> str:
    raise ValueError("as planned")


FORMS = ("in the url", "in the query", "in the environment", "in a file")


def login(form: str, dsn: str, folder: Path, to: pytest.MonkeyPatch, password: str) -> str:
    """The DSN of the role with the odd password, told in one of the ways there are."""
    secret = quote(password, safe="")
    match form:
        case "in the url":
            return dsn.replace("postgres@", f"odd:{secret}@")
        case "in the query":
            return dsn.replace("postgres@", "odd@") + f"&password={secret}"
        case "in the environment":
            to.setenv("PGPASSWORD", password)
        case "in a file":
            file = folder / "pgpass"
            # The driver reads the last field as it is.
            file.write_text(f"*:*:*:odd:{password}\n")
            file.chmod(0o600)
            to.setenv("PGPASSFILE", str(file))
    return dsn.replace("postgres@", "odd@")


def leaks(text: str, password: str = PASSWORD) -> bool:
    return any(secret in text for secret in (password, quote(password, safe=""), "w0rd"))


@pytest.mark.parametrize("form", FORMS)
async def test_a_password_is_shown_nowhere(
    guarded: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    form: str,
) -> None:
    """An engine works with it, and nothing that it says, shows or sends has it."""
    dsn = login(form, guarded, tmp_path, monkeypatch, PASSWORD)
    caplog.set_level(logging.DEBUG)
    stream = io.StringIO()
    stop = log_events(json=True, level=logging.DEBUG, stream=stream)
    try:
        with recorded() as events:
            async with fast(dsn, plugins=[Plugin(prune=True)]) as engine:
                workflow = Baton().add("a", works.new()).add("b", fails.new(), deps=["a"])
                await workflow.insert(engine=engine)
                end = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
                assert end.failed_steps == ("b",)
                async with opened(guarded) as tables:
                    sessions = await tables.rows("SELECT a::text FROM pg_stat_activity a")
                    assert any("baton:default" in row[0] for row in sessions)
                    rows = await tables.rows(
                        "SELECT j::text FROM baton.oban_jobs j UNION ALL"
                        " SELECT e::text FROM baton.baton_engines e"
                    )
                shown = [repr(engine), str(engine), repr(engine.database), repr(engine.settings)]
                shown += [repr(plugin) for plugin in engine.plugins]
    finally:
        stop()
    seen = [*shown, *map(repr, events.all), stream.getvalue(), caplog.text]
    seen += [row[0] for row in (*sessions, *rows)]
    assert len(seen) > 20
    assert [text for text in seen if leaks(text)] == []


@pytest.mark.parametrize("form", ["in the query", "in the environment"])
async def test_a_wrong_password_is_shown_nowhere(
    guarded: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    form: str,
) -> None:
    """Refused by everything that connects; and where nobody answers."""
    caplog.set_level(logging.DEBUG)
    wrong = f"{PASSWORD}!"
    dsn = login(form, guarded, tmp_path, monkeypatch, wrong)
    nobody = re.sub(r"host=[^&]*", "host=/nowhere", dsn)
    for where in (dsn, nobody):
        for call in (
            Engine(where).run,
            Engine(where, queues={"default": 1}).run,
            lambda where=where: schema.migrate(where),
            lambda where=where: schema.verify(where),
            lambda where=where: Plugin().run(where),
            Database(where).open,
        ):
            with pytest.raises(UnavailableError) as caught:
                await call()
            told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
            # The traceback's source lines are this file's.
            assert not leaks(told, wrong), told
    assert not leaks(caplog.text, wrong)


@pytest.mark.parametrize("form", ["in the query"])
async def test_no_command_shows_a_password(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    wrong = f"{PASSWORD}!"
    dsn = login(form, guarded, tmp_path, monkeypatch, wrong)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "baton.cli", "migrate", "--dsn", dsn), stdout=PIPE, stderr=STDOUT
    )
    printed, _ = await process.communicate()
    assert process.returncode == 1, printed
    assert b"refused the login" in printed
    assert not leaks(printed.decode(), wrong), printed


def test_what_is_redacted_knows_every_place_of_a_password() -> None:
    for dsn in (
        f"postgresql://u:{quote(PASSWORD, safe='')}@h/x",
        f"postgresql://u@h/x?password={quote(PASSWORD, safe='')}",
    ):
        text = f"{dsn} {PASSWORD} {quote(PASSWORD, safe='')}"
        assert not leaks(redacted(text, dsn))
