"""An embedded server that stops and comes back under the same DSN."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from baton.testing.cluster import Cluster
from baton.testing.embedded import embedded_postgres, find_programs
from support.waiting import eventually


class RestartingServer:
    """Made by `restarting_server`."""

    def __init__(self, dsn: str, settings: Mapping[str, str]) -> None:
        self.dsn = dsn
        self._settings = settings
        # Its socket lies beside its data.
        self._data = Path(parse_qs(urlsplit(dsn).query)["host"][0])
        self._cluster = Cluster(self._data.parent, find_programs())
        self._file = self._data / "postmaster.pid"

    async def crash(self) -> None:
        """What `pg_ctl stop -m immediate` does."""
        await self._end(signal.SIGQUIT)

    async def stop(self) -> None:
        """What `pg_ctl stop -m fast` does."""
        await self._end(signal.SIGINT)

    async def start(self) -> None:
        await asyncio.to_thread(self._cluster.start, self._settings)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all processes of the server with SIGSTOP for so long: connections stay, and nothing
        answers.
        """
        postmaster = self._postmaster
        # The parent first: what it has not forked by then it does not fork.
        os.kill(postmaster, signal.SIGSTOP)
        backends = _children(postmaster)
        try:
            _signal(backends, signal.SIGSTOP)
            yield
        finally:
            _signal([*backends, postmaster], signal.SIGCONT)

    @property
    def _postmaster(self) -> int:
        return int(self._file.read_text().split()[0])

    async def _end(self, how: signal.Signals) -> None:
        async def gone() -> bool:
            return not self._file.exists()

        os.kill(self._postmaster, how)
        await eventually(gone)


def _children(parent: int) -> list[int]:
    told = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.split() for line in told.splitlines())
    return [int(pid) for pid, its_parent in pairs if int(its_parent) == parent]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def restarting_server(settings: Mapping[str, str]) -> Iterator[RestartingServer]:
    """A server of its own, gone after the block, also when this process is killed."""
    with embedded_postgres(settings=settings) as dsn:
        yield RestartingServer(dsn, settings)
