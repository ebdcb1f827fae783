"""What is published works: source archive, wheel built from it, installed, used."""

from __future__ import annotations

import asyncio
import os
import site
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from support.places import ROOT

SOURCES = ROOT / "src"
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
        completion = await engine.completion(workflow.workflow_id, timeout=20)
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


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that holds the wheel; the dependencies are ours."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(programs / "python", "-c", purelib, cwd=folder).strip())
    # A folder on the path whose own .pth files are not read: our editable Baton stays out.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    target = ("--python", programs / "python", "install", "--no-index", "--no-deps")
    run(*pip, *target, "--ignore-installed", wheel, cwd=folder)
    return programs


def files_of_the_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as contents:
        return set(contents.namelist())


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    expected = {
        path.relative_to(SOURCES).as_posix()
        for path in (SOURCES / "baton").rglob("*")
        if path.is_file() and not {"__pycache__", ".ruff_cache", ".mypy_cache"} & set(path.parts)
    }
    assert sum(name.endswith(".sql") for name in expected) > 10
    assert "baton/py.typed" in expected
    inside = files_of_the_wheel(wheel)
    assert expected - inside == set()
    assert {name for name in inside if not name.startswith("baton_workflows-")} == expected


def test_the_source_archive_holds_what_a_packager_needs(archive: Path) -> None:
    with tarfile.open(archive) as contents:
        names = {name.partition("/")[2] for name in contents.getnames()}
    needed = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "Makefile"}
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
