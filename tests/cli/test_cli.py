"""The commands as an operator meets them: processes, signals, exit statuses, no password shown."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, Engine, Plugin, schema
from baton.cli.target import overridden
from baton.workers.args import NewJob
from support import operated
from support.databases import execute
from support.places import TESTS
from support.waiting import eventually

DEADLINE = 30.0
SECRET = "p%40ss-w0rd"
NOWHERE = f"postgresql://baton:{SECRET}@127.0.0.1:1/nowhere"


async def start(*arguments: str, dsn: str | None = None, **environment: str) -> Process:
    given = {"BATON_DATABASE_URL": dsn} if dsn else {}
    inherited = {key: value for key, value in os.environ.items() if key != "BATON_DATABASE_URL"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "baton.cli", *arguments),
        cwd=TESTS,
        env={**inherited, **given, **environment, "PYTHONPATH": ""},
        stdout=PIPE,
        stderr=STDOUT,
    )


async def baton(*arguments: str, dsn: str | None = None) -> tuple[int | None, str]:
    """The exit status and all output of a command that ends by itself."""
    process = await start(*arguments, dsn=dsn)
    async with asyncio.timeout(DEADLINE):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


@asynccontextmanager
async def working(*arguments: str, dsn: str, **environment: str) -> AsyncIterator[Process]:
    """A worker process whose engine runs; killed at the end at the latest."""
    process = await start("worker", *arguments, dsn=dsn, **environment)
    try:
        await said(process, "runs, queues: ")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process, text: str) -> str:
    """Read until a line holds `text`."""
    assert process.stdout is not None
    lines = ""
    async with asyncio.timeout(DEADLINE):
        while text not in lines:
            line = await process.stdout.readline()
            assert line, f"ended without saying {text!r}: {lines}"
            lines += line.decode()
    return lines


async def ended(process: Process) -> tuple[int, str]:
    async with asyncio.timeout(DEADLINE):
        rest, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, rest.decode()


async def wait_for_state(dsn: str, state: str) -> None:
    """Wait until the only job is in this state."""
    connection = await asyncpg.connect(dsn)
    found: dict[str, object] = {}

    async def reached() -> bool:
        row = await connection.fetchrow("SELECT * FROM baton.oban_jobs")
        assert row is not None
        found.update(row)
        return found["state"] == state

    try:
        await eventually(reached)
    except pytest.fail.Exception:
        pytest.fail(f"not {state}: {found}")
    finally:
        await connection.close()


async def test_migrate_forth_and_back(empty_dsn: str) -> None:
    latest = schema.latest_version()
    status, text = await baton("migrate", dsn=empty_dsn)
    assert (status, f"is at version {latest}: applied 1" in text) == (0, True), text
    status, text = await baton("migrate", "--dsn", empty_dsn)
    assert (status, "nothing to do" in text) == (0, True), text
    status, text = await baton("migrate", "--verify", dsn=empty_dsn)
    assert (status, "is right" in text) == (0, True), text
    status, text = await baton("migrate", "--to", "1", dsn=empty_dsn)
    assert (status, "--down 1" in text) == (1, True), text
    status, text = await baton("migrate", "--down", "1", dsn=empty_dsn)
    assert (status, "is at version 1: reverted" in text) == (0, True), text
    assert await schema.current_version(empty_dsn) == 1
    status, text = await baton("migrate", "--verify", dsn=empty_dsn)
    assert (status, "run: baton migrate" in text) == (1, True), text
    assert (await baton("migrate", "--to", "2", dsn=empty_dsn))[0] == 0
    assert await schema.current_version(empty_dsn) == 2


async def test_migrate_another_schema(empty_dsn: str) -> None:
    assert (await baton("migrate", "--schema", "Jobs é", dsn=empty_dsn))[0] == 0
    assert (await schema.verify(empty_dsn, schema="Jobs é")).ok
    assert await schema.current_version(empty_dsn) == 0


async def test_verify_tells_what_is_wrong(dsn: str) -> None:
    await execute(dsn, "DROP TABLE baton.workflow_completions")
    status, text = await baton("migrate", "--verify", dsn=dsn)
    assert status == 1
    assert "workflow_completions" in text


async def test_the_printed_sql_migrates(empty_dsn: str) -> None:
    status, text = await baton("migrate", "--print")
    assert status == 0
    await execute(empty_dsn, text)
    assert (await schema.verify(empty_dsn)).ok
    status, text = await baton("migrate", "--print", "--down", "0")
    assert status == 0
    await execute(empty_dsn, text)
    assert await schema.current_version(empty_dsn) == 0
    part = await baton("migrate", "--print", "--from", "1", "--to", "2")
    assert part == (0, schema.migration_sql(1, 2) + "\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrate"], "BATON_DATABASE_URL"),
        (["migrate", "--dsn", ""], "BATON_DATABASE_URL"),
        (["migrate", "--dsn", NOWHERE, "--to", "-1"], "--to"),
        (["migrate", "--dsn", NOWHERE, "--to", "1", "--down", "1"], "exclude"),
        (["migrate", "--dsn", NOWHERE, "--verify", "--print"], "exclude"),
        (["migrate", "--dsn", NOWHERE, "--from", "1"], "--print"),
        (["migrate", "--dsn", NOWHERE, "--schema", "pg_mine"], "pg_mine"),
        (["migrate", "--print", "--schema", "s" * 60], "schema"),
        (["worker", "operated"], "module:attribute"),
        (["worker", "support.operated:a.b"], "module:attribute"),
        (["worker", "no.such.module:engine"], "there is no module 'no'"),
        (["worker", "support.nothing:engine"], "there is no module 'support.nothing'"),
        (["worker", "support.operated:nothing"], "has no 'nothing'"),
        (["worker", "support.operated:number"], "is a int"),
        (["worker", "support.operated:other"], "needs arguments"),
        (["worker", "support.operated:later"], "returned a coroutine"),
        (["worker", "support.operated:engine", "--queues", "default"], "NAME=LIMIT"),
        (["worker", "support.operated:engine", "--queues", "a=1,a=2"], "NAME=LIMIT"),
        (["worker", "support.operated:engine", "--queues", "a=0"], "queues="),
        (["worker", "support.operated:engine", "--schema", "pg_mine"], "pg_mine"),
    ],
)
async def test_wrong_use_is_2_and_says_what(arguments: list[str], words: str) -> None:
    status, text = await baton(*arguments)
    assert status == 2, text
    assert words in text
    assert "Traceback" not in text


@pytest.mark.parametrize("command", [["migrate"], ["worker", "support.operated:engine"]])
@pytest.mark.parametrize(
    ("dsn", "status"),
    [
        (NOWHERE, 1),
        ("postgresql://baton:p@ss:w0rd/@127.0.0.1/x", 2),
        ("postgresql://baton:p@ss-w0rd@127.0.0.1:port/x", 2),
        ("postgresql://baton:w0rd/@127.0.0.1/x", 2),
        ("postgresql://baton:w0rd@[::1/x", 2),
        ("mysql://baton:w0rd@127.0.0.1/x", 2),
    ],
)
async def test_no_password_is_shown(command: list[str], dsn: str, status: int) -> None:
    ended_with, text = await baton(*command, dsn=dsn)
    assert ended_with == status, text
    assert "w0rd" not in text
    assert "Traceback" not in text


async def test_an_engine_that_cannot_be_made_is_shown_with_its_traceback() -> None:
    status, text = await baton("worker", "support.operated:broken")
    assert status == 1
    assert "RuntimeError: no engine today" in text


async def test_a_worker_without_tables_names_the_command(empty_dsn: str) -> None:
    status, text = await baton("worker", "support.operated:make", dsn=empty_dsn)
    assert status == 1
    assert "run: baton migrate --schema baton" in text


async def test_a_missing_right_is_one_line(dsn: str) -> None:
    role = f"baton_{uuid4().hex}"
    parts = urlsplit(dsn)
    where = parts.netloc.rpartition("@")[2]
    limited = urlunsplit(parts._replace(netloc=f"{role}:{SECRET}@{where}"))
    await execute(dsn, f"CREATE ROLE {role} LOGIN PASSWORD '{unquote(SECRET)}'")
    await execute(dsn, f"GRANT USAGE ON SCHEMA baton TO {role}")
    lacks = "baton: the role lacks a right: permission denied for table"
    try:
        for command in (["migrate"], ["migrate", "--verify"], ["worker", "support.operated:make"]):
            assert await baton(*command, dsn=limited) == (1, f"{lacks} baton_migrations\n")
        await execute(dsn, f"GRANT SELECT ON baton.baton_migrations TO {role}")
        status, text = await baton("worker", "support.operated:make", dsn=limited)
        assert (status, text) == (1, f"{lacks} baton_engines\n")
        status, text = await baton("migrate", "--schema", "other", dsn=limited)
        assert (status, text.count("\n")) == (1, 1)
        assert "migration 1 failed: the role lacks a right: permission denied for database" in text
    finally:
        await execute(dsn, f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_dsn_in_the_operators_source_is_not_shown() -> None:
    status, text = await baton("worker", "support.misnamed:engine")
    assert status == 1
    assert "expected postgresql://user:password@" in text
    assert "w0rd" not in text


@pytest.mark.parametrize("option", ["--help", "-h"])
async def test_the_help_shows_a_dsn(option: str) -> None:
    status, text = await baton("migrate", option)
    assert status == 0
    assert "baton migrate --dsn postgresql://" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_steps_finish(dsn: str, number: signal.Signals) -> None:
    async with (
        Engine(dsn) as client,
        working("support.operated:engine", dsn=dsn) as process,
    ):
        workflow = Baton().add("a", operated.answer.new())
        await workflow.insert(engine=client)
        await client.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        await execute(dsn, "DELETE FROM baton.oban_jobs")
        running = Baton().add("b", operated.finish.new())
        await running.insert(engine=client)
        await wait_for_state(dsn, "executing")
        process.send_signal(number)
        status, text = await ended(process)
        assert status == 0, text
        assert f"{number.name}: stopping" in text
        await wait_for_state(dsn, "completed")


async def test_what_does_not_finish_in_time_is_put_back(dsn: str) -> None:
    async with (
        Engine(dsn) as client,
        working("support.operated:make", dsn=dsn, GRACE="0.1") as process,
    ):
        await Baton().add("a", operated.hang.new()).insert(engine=client)
        await wait_for_state(dsn, "executing")
        process.terminate()
        assert (await ended(process))[0] == 0
        await wait_for_state(dsn, "available")


@pytest.mark.parametrize("stuck", [operated.hang.new(), operated.block.new()])
async def test_a_second_signal_ends_at_once(dsn: str, stuck: NewJob) -> None:
    async with (
        Engine(dsn) as client,
        working("support.operated:engine", dsn=dsn) as process,
    ):
        await Baton().add("a", stuck).insert(engine=client)
        await wait_for_state(dsn, "executing")
        process.terminate()
        await said(process, "stopping")
        process.send_signal(signal.SIGINT)
        status, text = await ended(process)
        assert status == 128 + signal.SIGINT, text
        assert "at once by a second signal" in text


async def test_a_thread_that_never_returns_does_not_hold_up_the_end(dsn: str) -> None:
    async with (
        Engine(dsn) as client,
        working("support.operated:engine", dsn=dsn, GRACE="0.1") as process,
    ):
        await Baton().add("a", operated.never.new()).insert(engine=client)
        await wait_for_state(dsn, "executing")
        process.terminate()
        status, text = await ended(process)
        assert status == 0, text
        assert "was given up and still runs" in text
        await wait_for_state(dsn, "available")


async def test_the_command_line_overrides_the_engine(empty_dsn: str) -> None:
    await schema.migrate(empty_dsn, schema="jobs")
    overrides = ["--dsn", empty_dsn, "--schema", "jobs", "--queues", "io=3,default=1"]
    async with (
        Engine(empty_dsn, schema="jobs") as client,
        working("support.operated:engine", *overrides, dsn=NOWHERE) as process,
    ):
        workflow = Baton().add("a", operated.answer.new(), queue="io")
        await workflow.insert(engine=client)
        await client.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
        process.terminate()
        assert (await ended(process))[0] == 0


async def test_the_dashboards_are_in_the_package(tmp_path: Path) -> None:
    status, text = await baton("export-dashboards", str(tmp_path / "new"))
    assert status == 0, text
    for name in ("grafana/baton.json", "prometheus/alerts.yml"):
        assert (tmp_path / "new" / name).exists()
        assert f"new/{name}" in text
    (tmp_path / "file").touch()
    status, text = await baton("export-dashboards", str(tmp_path / "file"))
    assert (status, "cannot be written" in text) == (1, True), text


async def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['typer'] = None; from baton.cli import main; main()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=PIPE)
    async with asyncio.timeout(DEADLINE):
        _, text = await process.communicate()
    assert process.returncode == 2
    assert text.decode() == (
        "baton: the commands need the extra 'cli': pip install 'baton-workflows[cli]'\n"
    )


def test_what_the_command_line_changes_leaves_the_plugins() -> None:
    engine = Engine("postgresql://a@h/x", plugins=[Plugin(prune=True)], queues={"io": 2})
    for other in (
        overridden(engine, "postgresql://b@h/x", None, None),
        overridden(engine, None, "jobs", None),
        overridden(engine, None, None, {"default": 1}),
    ):
        assert other is not engine
        assert other.plugins == engine.plugins
