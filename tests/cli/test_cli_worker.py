"""What `baton worker` tells of its work: log lines, health probes, reloads."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from baton import Baton, Engine
from baton.cli.health import Health
from baton.cli.reports import Report
from baton.telemetry import seam
from baton.words.events import ConnectionLost, ConnectionRegained, StepCompleted
from baton.words.states import JobState
from cli.test_cli import DEADLINE, baton, ended, said, working
from support import operated
from support.databases import execute
from support.waiting import eventually

COMPLETED = StepCompleted(
    "default", 1, "fetch", "default", JobState.COMPLETED, 1, None, None, None, 0.25, True, None
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def probed(port: int, request: str) -> tuple[int, str]:
    """The status and the body that a probe gets."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
    return int(head.split()[1]), body


async def test_it_tells_what_it_did(dsn: str) -> None:
    async with (
        Engine(dsn) as client,
        working("support.operated:engine", "-v", dsn=dsn) as process,
    ):
        workflow = Baton(workflow_name="told").add("a", operated.answer.new())
        await workflow.insert(engine=client)
        lines = await said(process, "baton.workflow.finished")
        assert "baton.step.completed" in lines
        process.terminate()
        status, text = await ended(process)
        assert status == 0, text
        assert "since the last summary: steps: 1 completed; workflows: 1 completed" in text
        assert "has stopped" in text


async def test_json_lines(dsn: str) -> None:
    arguments = ["support.operated:engine", "-vv", "--log-format", "json"]
    async with Engine(dsn) as client, working(*arguments, dsn=dsn) as process:
        workflow = Baton().add("a", operated.answer.new())
        await workflow.insert(engine=client)
        text = await said(process, "baton.workflow.finished")
        process.terminate()
        status, rest = await ended(process)
    assert status == 0, rest
    records = [json.loads(line) for line in (text + rest).splitlines()]
    events = {record["event"]: record for record in records if "event" in record}
    assert events["baton.step.completed"]["step"] == "a"
    assert events["baton.step.completed"]["workflow_id"] == str(workflow.workflow_id)
    assert "baton.step.executing" in events
    assert any("SIGTERM: stopping" in record["message"] for record in records)
    (summary,) = [record for record in records if "counts" in record]
    assert summary["counts"] == {"steps completed": 1, "workflows completed": 1}


def test_nothing_done_is_no_summary(caplog: pytest.LogCaptureFixture) -> None:
    report = Report(0)
    with caplog.at_level("INFO", "baton.worker"), report.open():
        report.summarise()
        assert not caplog.messages
        seam.emit(COMPLETED)
        seam.emit(COMPLETED)
        report.summarise()
        report.summarise()
    assert caplog.messages == ["since the last summary: steps: 2 completed"]


async def test_health_probes(dsn: str) -> None:
    port = free_port()
    async with working("support.operated:engine", "--health", str(port), dsn=dsn) as process:
        assert (await probed(port, "GET /livez"))[0] == 200
        status, body = await probed(port, "GET /readyz?verbose")
        facts = json.loads(body)
        assert (status, facts["state"], facts["failing"]) == (200, "running", [])
        assert await probed(port, "HEAD /readyz") == (200, "")
        assert (await probed(port, "GET /"))[0] == 404
        assert (await probed(port, "POST /readyz"))[0] == 405
        await execute(dsn, "ALTER TABLE baton.oban_jobs RENAME TO elsewhere")

        async def unready() -> bool:
            return (await probed(port, "GET /readyz"))[0] == 503

        await eventually(unready)
        assert (await probed(port, "GET /livez"))[0] == 200
        await execute(dsn, "ALTER TABLE baton.elsewhere RENAME TO oban_jobs")

        async def ready() -> bool:
            return (await probed(port, "GET /readyz"))[0] == 200

        await eventually(ready)
        process.terminate()
        assert (await ended(process))[0] == 0


@pytest.mark.parametrize("what", ["listen", "sweep"])
def test_what_only_shortens_waiting_keeps_it_ready(what: str) -> None:
    engine = Engine("postgresql://a@h/x")
    engine._state = "running"
    health = Health(engine)
    health.note(ConnectionLost("default", what, "gone"))
    status, facts = health.answer("GET", "/readyz")
    assert (status, facts["failing"]) == (200, [what])
    health.note(ConnectionLost("another", "poll", "gone"))
    assert health.answer("GET", "/readyz")[0] == 200
    health.note(ConnectionLost("default", "poll", "gone"))
    assert health.answer("GET", "/readyz")[0] == 503
    health.note(ConnectionRegained("default", "poll"))
    assert health.answer("GET", "/readyz")[0] == 200


async def test_a_taken_port_is_named(dsn: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, text = await baton("worker", "support.operated:engine", "--health", port, dsn=dsn)
    assert (status, f"--health 127.0.0.1:{port} cannot be served" in text) == (1, True), text


@pytest.mark.parametrize("given", ["x", "1:x", "0", "70000", "host:"])
async def test_a_wrong_address_says_what(given: str) -> None:
    status, text = await baton("worker", "support.operated:engine", "--health", given)
    assert (status, "expected PORT or HOST:PORT" in text) == (2, True), text


APPLICATION = """
from baton import Engine
from operated_words import word

print(f"build {word}", flush=True)
engine = Engine("DSN", queues={"default": 1}, poll_interval=0.1)
"""


async def test_a_changed_file_starts_the_worker_anew(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "operated_app.py").write_text(APPLICATION.replace("DSN", dsn))
    (tmp_path / "operated_words.py").write_text("word = 'one'\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "baton.cli", "worker", "operated_app:engine", "--reload"),
        cwd=tmp_path,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        await said(process, "runs, queues: default")
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        (tmp_path / "operated_words.py").write_text("word = 'another'\n")
        text = await said(process, "runs, queues: default")
        assert "operated_words.py changed: the worker starts anew" in text
        assert "build another" in text
        process.terminate()
        _, text = await ended(process)
        assert "has stopped" in text
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
