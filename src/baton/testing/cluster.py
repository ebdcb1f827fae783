"""One database cluster in one folder: create it, start it, find it running, stop it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from baton.testing.identity import Identity, server_identity
from baton.words.base_error import BatonError

_START_SECONDS = 60.0
_PAUSE = 0.05
# pg_ctl hands the path to a shell, between double quotes.
_UNUSABLE = frozenset('"$`\\\n')
# What a server that was killed a moment ago leaves behind for as long as its children live.
_STILL_ENDING = ("shared memory", "lock file")
# macOS allows 104 bytes, Linux 108, both with a NUL at the end.
_MAX_SOCKET_BYTES = 100
_PORT = 5432
_SOCKET_FILES = (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock")


class EmbeddedPostgresError(BatonError):
    """The embedded server cannot be installed, created or started."""


class Cluster:
    """The data lie in `folder`/data; the server listens on a Unix socket only, for its own user."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        if _UNUSABLE & set(str(folder)):
            raise EmbeddedPostgresError(
                f"{folder}: no server runs in a folder with such characters"
            )
        self._programs = programs
        self._identity: Identity = server_identity()

    def create(self) -> None:
        """Initialise the data unless they exist; a creation that was interrupted starts over."""
        if self.data.exists():
            return
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self._identity.own(fresh)
        command = (
            "initdb",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
        )
        made = self._run(*command, "--no-sync", f"--pgdata={fresh}")
        if made.returncode:
            raise EmbeddedPostgresError(f"no database cluster could be created: {made.stdout}")
        with (fresh / "postgresql.conf").open("a") as configuration:
            configuration.write("include = 'baton.conf'\n")
        fresh.rename(self.data)

    def start(self, settings: Mapping[str, str]) -> None:
        """Start the server, or find it running. `settings` apply only when it has to be started."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._responds():
            problem = ""
            if not self._alive():
                # Left by a killed server, it would be fatal once its number is in use again.
                self._clean_up()
                problem = self._launch(settings)
            hopeless = problem and not any(words in problem for words in _STILL_ENDING)
            if hopeless or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"the server does not start: {problem or 'no answer'}")
            time.sleep(_PAUSE)

    def stop(self) -> None:
        """Stop the server; harmless when it is not running. What was committed is kept."""
        socket_folder = self._socket_folder()
        if self._alive():
            for mode in ("fast", "immediate"):
                if not self._run("pg_ctl", "stop", "-D", self.data, "-w", "-m", mode).returncode:
                    break
        _remove_socket_folder(socket_folder)

    @property
    def dsn(self) -> str:
        """Of the running server."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder()), safe='/')}"

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def _clean_up(self) -> None:
        _remove_socket_folder(self._socket_folder())
        self._pid_file.unlink(missing_ok=True)

    def _launch(self, settings: Mapping[str, str]) -> str:
        """What went wrong; empty when the server runs."""
        socket_folder = self._new_socket_folder()
        own = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": f'"{socket_folder}"',
        }
        lines = (f"{name} = '{_quoted(value)}'\n" for name, value in {**settings, **own}.items())
        (self.data / "baton.conf").write_text("".join(lines), "utf-8")
        log = self.data / "server.log"
        written = log.stat().st_size if log.exists() else 0
        started = self._run("pg_ctl", "start", "-D", self.data, "-w", "-s", "-l", log)
        if not started.returncode:
            return ""
        _remove_socket_folder(socket_folder)
        said = log.read_bytes()[written:].decode("utf-8", "replace") if log.exists() else ""
        return f"{started.stdout}{said}"

    def _new_socket_folder(self) -> Path:
        name = str(self.data / _SOCKET_FILES[0])
        if len(name.encode()) <= _MAX_SOCKET_BYTES and not set(name) & set(",\"'"):
            return self.data
        folder = Path(tempfile.mkdtemp(prefix="baton-", dir="/tmp"))
        self._identity.own(folder)
        return folder

    def _responds(self) -> bool:
        folder = self._socket_folder()
        if folder is None:
            return False
        return not self._run("pg_isready", "-q", "-h", folder, "-p", str(_PORT)).returncode

    def _alive(self) -> bool:
        lines = self._pid_lines()
        return bool(lines) and str(self.data) in _command_line(lines[0])

    def _socket_folder(self) -> Path | None:
        lines = self._pid_lines()
        return Path(lines[4]) if len(lines) > 4 and lines[4] else None

    def _pid_lines(self) -> list[str]:
        try:
            return [line.strip() for line in self._pid_file.read_text("utf-8").splitlines()]
        except FileNotFoundError:
            return []

    def _run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        try:
            return self._identity.run(self._programs / program, *arguments, timeout=_START_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedPostgresError(
                f"{program} cannot run as {self._identity}: {error}"
            ) from error


def _remove_socket_folder(folder: Path | None) -> None:
    """Remove a folder that was made for the socket alone; the folder of the data is never empty."""
    if folder is not None:
        # The folder is read from the server's files: nothing but what is expected there may go.
        for name in _SOCKET_FILES:
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _command_line(pid: str) -> str:
    """How a process was started; empty when there is none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
        except OSError:
            return ""
    command = ["/bin/ps", "-ww", "-o", "args=", "-p", pid]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
