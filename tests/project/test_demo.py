"""The demo, as its user runs it: over any folder, and again after it was killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest
from examples.demo.listing import MOST_STEPS, InputError, list_files, share_out
from examples.demo.measure import count_terms, measure, relative_links
from examples.demo.models import Kind, ListedFile
from examples.demo.reading import READ_LIMIT
from examples.demo.steps import build, planned

from baton.testing import embedded_postgres
from support.places import ROOT

DEADLINE = 90.0
pytestmark = pytest.mark.timeout(180)
WORKFLOW = re.compile(r"workflow ([0-9a-f-]{36})")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The folder in which the demo runs; a server that a killed demo left behind is stopped."""
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    if server_runs(folder):
        with embedded_postgres(folder / ".demo/postgres"):
            pass


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A small input of every kind."""
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    (folder / "readme.md").write_text(
        "# Orchestra\n[there](sub/a.txt) [not](sub/b.txt) `[no](link)`\n"
    )
    (folder / "sub/a.txt").write_text("violin violin viola\n")
    (folder / "sub/copy.txt").write_text("violin violin viola\n")
    (folder / "app.log").write_text(
        "2026-01-02 03:04:05 INFO started\n2026-01-02T03:04:09 WARN late\nno time here\n"
    )
    for number in range(20):
        (folder / f"sub/{number:02}.txt").write_text(f"cello number {number}\n")
    return folder


def server_runs(home: Path) -> bool:
    return any((home / ".demo").glob("**/postmaster.pid"))


class Run(NamedTuple):
    status: int
    out: str
    error: str


@asynccontextmanager
async def demo(home: Path, *arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.demo",
        *map(str, arguments),
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def finished(home: Path, *arguments: str | Path) -> Run:
    async with demo(home, *arguments) as process:
        out, error = await process.communicate()
    assert process.returncode is not None
    return Run(process.returncode, out.decode(), error.decode())


def completed(out: str) -> list[str]:
    """The steps that a run reported as completed, in order."""
    return re.findall(r"^ *\d+/\d+  completed  (.+?)  [\d.]+ s$", out, re.MULTILINE)


async def read_steps(home: Path) -> list[asyncpg.Record]:
    with embedded_postgres(home / ".demo/postgres") as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(
                "SELECT n.workflow_id, n.name, n.state::text AS settled, j.state::text, j.attempt,"
                " n.result IS NOT NULL AS stored, to_jsonb(j.errors)::text AS errors,"
                " (SELECT count(*) FROM baton.workflow_completions) AS ends"
                " FROM baton.workflow_nodes n"
                " JOIN baton.oban_jobs j ON j.id = n.job_id ORDER BY n.job_id"
            )
        finally:
            await connection.close()


async def test_reports_what_is_in_a_folder(home: Path, texts: Path) -> None:
    run = await finished(home, texts)
    assert (run.status, run.error) == (0, "")
    assert not server_runs(home)
    workflow_id = WORKFLOW.findall(run.out)[0]
    report = (home / f".demo/report-{workflow_id}.md").read_text()
    assert run.out.rstrip().endswith(report.rstrip())
    assert f"workflow {workflow_id} completed" in run.out
    assert "24 files" in report
    assert "cello 20" in report
    assert "- readme.md: sub/b.txt" in report
    assert "- sub/a.txt = sub/copy.txt" in report
    assert "- app.log: 2026-01-02 03:04:05 to 2026-01-02 03:04:09; INFO 1, WARNING 1" in report
    assert len(completed(run.out)) == len(set(completed(run.out))) == 27
    again = await finished(home, texts)
    assert "new workflow" in again.out
    assert WORKFLOW.findall(again.out)[0] != workflow_id


async def test_a_killed_run_is_finished_by_the_next(home: Path, texts: Path) -> None:
    lines: list[str] = []
    async with demo(home, texts, "--pace", "1") as process:
        assert process.stdout is not None
        while len(completed("".join(lines))) < 4:
            line = await process.stdout.readline()
            assert line, (await process.communicate())[1].decode()
            lines.append(line.decode())
        process.kill()
        rest, _ = await process.communicate()
    first = "".join(lines) + rest.decode()
    assert process.returncode == -signal.SIGKILL
    assert "merge" not in completed(first)

    second = await finished(home, texts)
    assert second.status == 0, second.error
    assert f"continuing unfinished workflow {WORKFLOW.findall(first)[0]}" in second.out
    assert set(WORKFLOW.findall(second.out)) == set(WORKFLOW.findall(first))
    assert set(completed(first)).isdisjoint(completed(second.out))
    assert not server_runs(home)

    steps = await read_steps(home)
    assert len(steps) == 27
    assert {step["workflow_id"] for step in steps} == {UUID(WORKFLOW.findall(first)[0])}
    assert {(step["state"], step["settled"], step["stored"]) for step in steps} == {
        ("completed", "completed", True)
    }
    assert {step["attempt"] for step in steps} == {1}
    assert {step["ends"] for step in steps} == {1}
    rescued = [step["name"] for step in steps if "rescued" in step["errors"]]
    assert rescued
    assert set(rescued).isdisjoint(completed(first))
    assert f"rescued {len(rescued)} steps" in second.out


async def test_another_input_cancels_what_was_left(home: Path, texts: Path) -> None:
    async with demo(home, texts, "--pace", "60") as process:
        assert process.stdout is not None
        while not completed((await process.stdout.readline()).decode()):
            assert not process.stdout.at_eof()
        process.kill()
    (texts / "new.txt").write_text("one more\n")
    run = await finished(home, texts)
    assert run.status == 0, run.error
    assert "cancelling unfinished workflow" in run.out
    assert "25 files" in run.out
    states = {str(step["state"]) for step in await read_steps(home)}
    assert states == {"completed", "cancelled"}


@pytest.mark.parametrize("given", ["missing", "empty", "file", "hidden"])
async def test_unusable_input_is_one_clear_line(home: Path, tmp_path: Path, given: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/.secret").write_text("text")
    run = await finished(home, tmp_path / given)
    assert (run.status, run.out) == (2, "")
    assert re.fullmatch(rf"demo: .*{given}.*\n", run.error)
    assert not (home / ".demo").exists()


async def test_nothing_in_a_folder_breaks_it(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (folder / "late.txt").write_bytes(b"words " * 2_000 + b"\0\0" + b"\xff" * 100)
    (folder / "wide.txt").write_text("byte order mark", encoding="utf-16")
    (folder / "empty.txt").touch()
    (folder / " \u200bspace\n.md ").write_text(
        "[bad](%00) [worse](\udcff)", errors="surrogateescape"
    )
    (folder / ("e\u0301" * 60 + ".txt")).write_text("decomposed")
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff.txt")).write_text("not a text name")
    with (folder / "huge.log").open("wb") as file:
        file.write(b"2026-01-02 03:04:05 ERROR full\n")
        file.seek(READ_LIMIT * 4)
        file.write(b"end")
    run = await finished(home, folder)
    assert run.status == 0, run.out + run.error
    assert "picture.png: is not text" in run.out
    assert "huge.log: is not text" in run.out
    assert "7 files" in run.out


def test_files_that_change_are_noted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short")
    files = [ListedFile(path="a.txt", size=99), ListedFile(path="gone.txt", size=1)]
    changed, gone = (planned(tmp_path, file) for file in files)
    assert (changed.kind, changed.note) == (
        Kind.TEXT,
        "has changed since it was listed (99 bytes then)",
    )
    assert (gone.kind, gone.note) == (Kind.NOT_READ, "cannot be read: No such file or directory")
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").mkdir()
    facts, terms = measure(tmp_path, changed)
    assert facts.kind is Kind.NOT_READ
    assert facts.note
    assert not terms


def test_a_file_past_the_limit_is_read_in_part(tmp_path: Path) -> None:
    size = (tmp_path / "long.txt").write_text("word\n" * (READ_LIMIT // 5 + 10))
    facts, _ = measure(tmp_path, planned(tmp_path, ListedFile(path="long.txt", size=size)))
    assert facts.size == size > READ_LIMIT
    assert facts.digest == ""
    assert facts.note.startswith("only the first")


@pytest.mark.parametrize("count", [1, MOST_STEPS, MOST_STEPS + 1, 10 * MOST_STEPS])
def test_files_are_shared_out_without_loss(count: int) -> None:
    files = [ListedFile(path=f"folder/{number}.txt", size=number) for number in range(count)]
    shares = share_out(files)
    assert len(shares) <= MOST_STEPS
    assert [file for share in shares.values() for file in share] == files


def test_any_file_name_makes_a_valid_step(tmp_path: Path) -> None:
    names = [
        "a" * 255,
        " leading",
        "trailing ",
        "tab\t",
        "nl\n",
        "e\u0301",
        "\u202eevil",
        "ab",
        "a\\b",
    ]
    for name in names:
        (tmp_path / name).write_text("text")
    listing = list_files(tmp_path)
    workflow = build(listing, tmp_path)
    assert len(workflow.validate()) == len(names) + 3


def test_hidden_files_and_other_types_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text("text")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("text")
    with pytest.raises(InputError, match="there are no files"):
        list_files(tmp_path)


def test_the_fingerprint_tells_inputs_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = list_files(tmp_path).fingerprint
    assert list_files(tmp_path).fingerprint == before
    (tmp_path / "b").write_text("1")
    assert list_files(tmp_path).fingerprint != before


def test_terms_are_words_that_tell_something() -> None:
    assert count_terms("the with import engine engine x1 1234 Übung snake_case _hidden") == {
        "engine": 2,
        "Übung": 1,
        "snake_case": 1,
        "hidden": 1,
    }


def test_links_in_code_are_no_links() -> None:
    text = "[a](b.md) [c](https://d) [e](#f)\n```\n[g](h.md)\n```\n`[i](j)` [k](<l.md>)"
    assert list(relative_links(text)) == ["b.md", "l.md"]
