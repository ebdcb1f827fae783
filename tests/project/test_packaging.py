"""What is published works: source archive, wheel built from it, installed, used."""

from __future__ import annotations

import asyncio
import os
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import asyncpg
import pytest

from support.places import ROOT

SOURCES = {ROOT / "src" / "baton": Path("baton"), ROOT / "schema": Path("baton/store/schema")}
"""What the wheel holds, and where."""
UNPUBLISHED = {"__pycache__", ".ruff_cache", ".mypy_cache"}
SECONDS = 50

PROGRAM = """
import asyncio, os, sys
from pathlib import Path

import baton
from baton import Baton, Engine, Step, WorkflowOutcome, worker

assert Path(baton.__file__).is_relative_to(sys.prefix), baton.__file__

@worker
async def one(step: Step) -> int:
    return 20

@worker
async def two(step: Step, *, factor: int) -> int:
    return factor * await step.result("a", int)

async def main() -> None:
    async with Engine(os.environ["BATON_DATABASE_URL"], queues={"default": 2}) as engine:
        workflow = Baton().add("a", one.new()).add("b", two.new(factor=2), deps=["a"])
        await workflow.insert()
        completion = await engine.workflow(workflow.workflow_id).completion(timeout=20)
        assert completion.outcome is WorkflowOutcome.COMPLETED, completion

asyncio.run(main())
print("completed")
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The output of a command that must succeed, and that gets nothing from the repository."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", folder, ROOT, cwd=folder)
    [found] = folder.iterdir()
    return found


@pytest.fixture(scope="session")
def wheel(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the source archive alone."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(archive) as contents:
        contents.extractall(folder / "unpacked", filter="data")
    [source] = (folder / "unpacked").iterdir()
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel")
    run(*build, "-o", folder / "dist", source, cwd=folder)
    [found] = (folder / "dist").iterdir()
    return found


def environment(folder: Path, *installed: str | Path) -> Path:
    """The programs of a fresh environment that holds what is `installed`; dependencies are ours."""
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(programs / "python", "-c", purelib, cwd=folder).strip())
    # A folder on the path whose own .pth files are not read: our editable Baton stays out.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    target = ("--python", programs / "python", "install", "--no-index", "--no-deps")
    run(*pip, *target, "--ignore-installed", *installed, cwd=folder)
    return programs


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel."""
    return environment(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, as far as an installation reads it."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns(*UNPUBLISHED)
    for name in ("src", "schema"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def files_of_the_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as contents:
        return set(contents.namelist())


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    expected = {
        (place / path.relative_to(folder)).as_posix()
        for folder, place in SOURCES.items()
        for path in folder.rglob("*")
        if path.is_file() and not UNPUBLISHED & set(path.parts)
    }
    assert "baton/store/schema/functions/baton_settle_and_claim.sql" in expected
    assert "baton/store/schema/migrations/001_oban_jobs.up.sql" in expected
    assert "baton/py.typed" in expected
    inside = files_of_the_wheel(wheel)
    assert expected - inside == set()
    assert {name for name in inside if not name.startswith("baton_workflows-")} == expected


def test_the_source_archive_holds_what_a_packager_needs(archive: Path) -> None:
    with tarfile.open(archive) as contents:
        names = {name.partition("/")[2] for name in contents.getnames()}
    needed = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "Makefile"}
    needed |= {"schema/README.md", "schema/functions/baton_settle_and_claim.sql"}
    assert needed | {"tests/conftest.py", "src/baton/__init__.py"} <= names
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]


def test_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as contents:
        [path] = [name for name in contents.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(contents.read(path))
    assert metadata["Name"] == "baton-workflows"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) >= {"cli", "embedded", "uvloop"}
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {line.partition(">")[0] for line in needed}
    assert names == {"anyio", "asyncpg", "opentelemetry-api", "pydantic"}


async def test_the_installed_wheel_migrates_and_runs_a_workflow(
    installed: Path, empty_dsn: str, tmp_path: Path
) -> None:
    def use() -> str:
        migrated = run(installed / "baton", "migrate", cwd=tmp_path, BATON_DATABASE_URL=empty_dsn)
        assert "applied 1" in migrated
        (tmp_path / "program.py").write_text(PROGRAM)
        program = (installed / "python", "-W", "error", tmp_path / "program.py")
        return run(*program, cwd=tmp_path, BATON_DATABASE_URL=empty_dsn)

    assert await asyncio.to_thread(use) == "completed\n"


async def test_an_editable_install_reads_the_schema_of_its_checkout(
    checkout: Path, empty_dsn: str, tmp_path: Path
) -> None:
    """An edited function reaches a database that is at the newest version."""
    edited = checkout / "schema" / "functions" / "baton_wake.sql"

    def use() -> str:
        programs = environment(tmp_path, "--no-build-isolation", "--editable", checkout)
        migrate = (programs / "baton", "migrate")
        run(*migrate, cwd=tmp_path, BATON_DATABASE_URL=empty_dsn)
        edited.write_text(edited.read_text().replace("\nDECLARE", "\n-- Edited.\nDECLARE"))
        printed = run(*migrate, "--print", cwd=tmp_path)
        run(*migrate, cwd=tmp_path, BATON_DATABASE_URL=empty_dsn)
        return printed

    assert "-- Edited." in await asyncio.to_thread(use)
    connection = await asyncpg.connect(empty_dsn)
    body = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'baton_wake'")
    await connection.close()
    assert "-- Edited." in body
