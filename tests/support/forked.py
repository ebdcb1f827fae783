"""The program of `support.forking`, started by a test."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from support.places import TESTS


@asynccontextmanager
async def program(mode: str, dsn: str, **environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore", "-m", "support.forking", mode),
        stdout=PIPE,
        cwd=TESTS,
        env={**os.environ, "FORKING_DSN": dsn, **environment},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def children(dsn: str, **environment: str) -> AsyncIterator[list[int]]:
    """The processes of the program."""
    async with program("serve", dsn, **environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
        try:
            yield pids
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
