"""Servers and poolers of an environment's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from baton.testing.cluster import Cluster
from baton.testing.embedded import find_programs
from support.databases import execute, run_apart
from support.servers import SETTINGS
from support.waiting import eventually

_PGBOUNCER = """
[databases]
* = host={upstream} port=5432
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {folder}
unix_socket_mode = 0777
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
ignore_startup_parameters = {forgotten}
max_client_conn = 500
default_pool_size = 8
max_db_connections = 8
server_idle_timeout = 2
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def server(programs: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """A server of these programs; its DSN."""
    # Some packages have the server alone.
    if not (programs / "pg_isready").exists():
        (programs / "pg_isready").symlink_to(find_programs() / "pg_isready")
    folder = Path(tempfile.mkdtemp(prefix="baton-", dir="/tmp"))
    folder.chmod(0o711)
    cluster = Cluster(folder, programs)
    try:
        cluster.create()
        cluster.start({**SETTINGS, **settings})
        yield cluster.dsn
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@contextmanager
def pooler(program: Path, dsn: str, forgotten: Collection[str] = ()) -> Iterator[Path]:
    """PgBouncer in transaction mode before a server; the folder of its socket. Settings at the
    start that are `forgotten` it takes and does not pass on; others it refuses.
    """
    upstream = parse_qs(urlsplit(dsn).query)["host"][0]
    # It refuses to run as root, and the server lets in only its own user's programs.
    user = Path(upstream).stat()
    folder = Path(tempfile.mkdtemp(prefix="baton-", dir="/tmp"))
    os.chown(folder, user.st_uid, user.st_gid)
    folder.chmod(0o755)
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "ini").write_text(
        _PGBOUNCER.format(
            upstream=upstream, folder=folder, forgotten=",".join(forgotten) or "extra_float_digits"
        )
    )
    process = subprocess.Popen(
        [str(program), str(folder / "ini")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user.st_uid if os.geteuid() == 0 else None,
        group=user.st_gid if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
    )
    try:
        run_apart(eventually(lambda: _answers(f"postgresql://postgres@/postgres?host={folder}")))
        yield folder
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


async def _answers(dsn: str) -> bool:
    try:
        await asyncio.wait_for(execute(dsn), 5)
    except OSError:
        return False
    return True
