"""The embedded server: found again after kills, shared, gone when it should be gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from baton.testing import EmbeddedPostgresError, embedded, embedded_postgres
from support.waiting import eventually

FAST = {"fsync": "off"}
KEEPER = """
import signal, sys
from baton.testing import embedded_postgres
with embedded_postgres(*sys.argv[1:], settings={"fsync": "off"}) as dsn:
    print(dsn, flush=True)
    signal.pause()
"""


@contextmanager
def keeper(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that runs a server, and the server's DSN; killed at the end at the latest."""
    command = [sys.executable, "-c", KEEPER, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


async def ask(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def answers(dsn: str) -> bool:
    try:
        return bool(await ask(dsn, "SELECT 1"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def silent(dsn: str) -> bool:
    return not await answers(dsn)


def socket_folder(dsn: str) -> Path:
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def capabilities(process: int) -> set[int]:
    """The numbers of what a process may do of root's; 1 is to reach all files."""
    status = Path(f"/proc/{process}/status").read_text()
    given = int(status.partition("CapEff:")[2].split()[0], 16)
    return {number for number in range(64) if given >> number & 1}


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder for a server's data, in which no server is left running."""
    yield tmp_path
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(postmaster(tmp_path), signal.SIGQUIT)


async def test_without_a_path_nothing_remains() -> None:
    with embedded_postgres(settings=FAST) as dsn:
        assert await ask(dsn, "SHOW listen_addresses") == ""
        assert await ask(dsn, "SHOW fsync") == "off"
        folder = socket_folder(dsn).parent
        assert (folder / "data" / "PG_VERSION").exists()
    assert not folder.exists()
    assert await silent(dsn)


async def test_by_default_what_is_committed_is_durable() -> None:
    with embedded_postgres() as dsn:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await ask(dsn, f"SHOW {setting}") == "on"


async def test_without_a_path_nothing_remains_of_a_killed_process() -> None:
    with keeper() as (process, dsn):
        assert await answers(dsn)
        folder = socket_folder(dsn).parent
        process.kill()

        async def gone() -> bool:
            return not folder.exists()

        await eventually(gone)
    assert await silent(dsn)


async def test_several_at_once() -> None:
    everyone_has_one = Barrier(3)

    def start(number: int) -> str:
        with embedded_postgres(settings=FAST | {"cluster_name": f"it's {number}"}) as dsn:
            everyone_has_one.wait(50)
            return dsn

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(start, range(3)))) == 3


async def test_data_at_a_path_are_found_again(kept: Path) -> None:
    with embedded_postgres(kept, settings=FAST) as dsn:
        await ask(dsn, "CREATE TABLE found AS SELECT 42 AS answer")
    assert await silent(dsn)
    with embedded_postgres(kept, settings=FAST) as dsn:
        assert await ask(dsn, "SELECT answer FROM found") == 42


async def test_a_server_left_by_a_killed_process_is_used_and_then_stopped(kept: Path) -> None:
    with keeper(kept) as (process, dsn):
        await ask(dsn, "CREATE TABLE found AS SELECT 42 AS answer")
        started = await ask(dsn, "SELECT pg_postmaster_start_time()")
        process.kill()
        process.wait()
        assert await answers(dsn)
        with embedded_postgres(kept) as again:
            assert await ask(again, "SELECT pg_postmaster_start_time()") == started
            assert await ask(again, "SELECT answer FROM found") == 42
        assert await silent(again)


async def test_a_killed_server_is_started_again(kept: Path) -> None:
    with keeper(kept) as (process, dsn):
        await ask(dsn, "CREATE TABLE found AS SELECT 42 AS answer")
        process.kill()
        process.wait()
        os.kill(postmaster(kept), signal.SIGKILL)
        with embedded_postgres(kept, settings=FAST) as again:
            assert await ask(again, "SELECT answer FROM found") == 42


async def test_the_number_of_a_dead_server_may_be_in_use_again(kept: Path) -> None:
    with keeper(kept) as (process, dsn):
        await ask(dsn, "CREATE TABLE found AS SELECT 42 AS answer")
        process.kill()
        process.wait()
        os.kill(postmaster(kept), signal.SIGKILL)
        await eventually(lambda: silent(dsn))
        stale = kept / "data" / "postmaster.pid"
        _, *rest = stale.read_text().splitlines(keepends=True)
        stale.write_text("".join([f"{os.getpid()}\n", *rest]))
        with embedded_postgres(kept, settings=FAST) as again:
            assert await ask(again, "SELECT answer FROM found") == 42


async def test_the_last_user_of_a_path_stops_the_server(kept: Path) -> None:
    with embedded_postgres(kept, settings=FAST) as outer:
        with embedded_postgres(kept) as inner:
            assert inner == outer
        with keeper(kept) as (_, other):
            assert other == outer
        assert await answers(outer)
    assert await silent(outer)


async def test_an_interrupted_creation_starts_over(kept: Path) -> None:
    (kept / "data.new").mkdir()
    (kept / "data.new" / "PG_VERSION").write_text("18\n")
    with embedded_postgres(kept, settings=FAST) as dsn:
        assert await answers(dsn)


@pytest.mark.parametrize("name", ["a b'c%20d,é", "long" * 40])
async def test_any_path_will_do(kept: Path, name: str) -> None:
    folder = kept / name
    with embedded_postgres(folder, settings=FAST) as dsn:
        assert await answers(dsn)
        with embedded_postgres(folder) as same:
            assert same == dsn
    assert await silent(dsn)
    assert socket_folder(dsn) == folder / "data" or not socket_folder(dsn).exists()


async def test_folders_keep_their_permissions(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = kept / "private"
    private.mkdir(mode=0o700)
    before = private.stat()
    (private / "programs").symlink_to(embedded.find_programs())
    monkeypatch.setattr(embedded, "find_programs", lambda: private / "programs")
    with embedded_postgres(private / "postgres", settings=FAST) as dsn:
        assert await answers(dsn)
        assert socket_folder(dsn).stat().st_mode & 0o777 == 0o700
        assert os.geteuid() != 0 or capabilities(postmaster(private / "postgres")) <= {1}
    after = private.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


@pytest.mark.parametrize("name", ['"', "$HOME", "`", "\\"])
def test_a_path_that_cannot_be_used_is_refused(kept: Path, name: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match="characters"), embedded_postgres(kept / name):
        pass


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with (
        pytest.raises(EmbeddedPostgresError, match=r"pip install 'baton-workflows\[embedded\]'"),
        embedded_postgres(),
    ):
        pass


def test_a_setting_that_does_not_exist_is_named() -> None:
    unknown = {"no_such_setting": "1"}
    with (
        pytest.raises(EmbeddedPostgresError, match="no_such_setting"),
        embedded_postgres(settings=unknown),
    ):
        pass
