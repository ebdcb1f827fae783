"""Virtual environments: one per set of packages, one interpreter for all, kept between runs.

They lie inside the project's own, so that no package, search or commit ever takes them along.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.systems import ROOT, Packages, Version

PYTHON_VARIABLE = "BATON_BENCH_PYTHON"
DIRECTORY = Path(sys.prefix) / "benchmarks"
OLDEST, NEWEST = (3, 12), (3, 14)
INSTALL_SECONDS = 600
ASK_VERSION = "import sys; print(*sys.version_info[:2])"


class NotRunnableError(Exception):
    """Why a system cannot take part here."""


@cache
def interpreter() -> tuple[Path, Version]:
    """`BATON_BENCH_PYTHON`, or the newest Python from 3.12 to 3.14 found, or else our own."""
    given = os.environ.get(PYTHON_VARIABLE)
    found = [(version, path) for path in _candidates() if (version := _version(path))]
    usable = [pair for pair in found if OLDEST <= pair[0] <= NEWEST]
    if given:
        path = Path(given)
        version = _version(path)
        if version is None:
            raise NotRunnableError(f"{PYTHON_VARIABLE} names no working Python")
        return path, version
    if usable:
        version, path = max(usable)
        return path, version
    return Path(sys.executable), sys.version_info[:2]


def python_of(packages: Packages) -> Path:
    """The interpreter of the environment for `packages`, created when missing.

    Raises NotRunnableError.
    """
    base, version = interpreter()
    if version < packages.python:
        raise NotRunnableError(f"needs Python >= {packages.python[0]}.{packages.python[1]}")
    DIRECTORY.mkdir(exist_ok=True)
    with (DIRECTORY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _installed(packages, base, version)


def _installed(packages: Packages, base: Path, version: Version) -> Path:
    place = DIRECTORY / f"{packages.name}-{version[0]}.{version[1]}"
    python, record = place / "bin" / "python", place / "installed"
    project = (ROOT / "pyproject.toml").read_text() if packages.editable else ""
    wanted = "\n".join((*packages.requirements, project))
    if not record.exists() or record.read_text() != wanted:
        editable = ["--editable", str(ROOT)] if packages.editable else []
        _run(base, "-m", "venv", str(place))
        _run(python, "-m", "pip", "install", "--quiet", *packages.requirements, *editable)
        record.write_text(wanted)
    return python


def versions_of(python: Path) -> dict[str, str]:
    """The installed packages of an environment."""
    listed = _run(python, "-m", "pip", "list", "--format=freeze", "--exclude-editable")
    return dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)


def _candidates() -> list[Path]:
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    in_path = [Path(found) for name in names if (found := shutil.which(name))]
    installed = [
        path
        for pattern in (".pyenv/versions/*/bin/python", ".local/share/uv/python/*/bin/python3")
        for path in sorted(Path.home().glob(pattern))
    ]
    return [Path(sys.executable), *in_path, *installed]


def _version(python: Path) -> Version | None:
    # A version manager's shim may exist and refuse to run.
    try:
        major, minor = _run(python, "-c", ASK_VERSION).split()
    except (NotRunnableError, ValueError):
        return None
    return int(major), int(minor)


def _run(*command: str | Path) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRunnableError(f"{type(error).__name__} while setting up: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotRunnableError(f"setting up failed: {last}")
    return done.stdout
