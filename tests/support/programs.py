"""Python programs that a test begins and, at the latest, ends."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.places import TESTS, python_path


@asynccontextmanager
async def program(
    *command: str | Path, stdout: int = DEVNULL, **variables: str
) -> AsyncIterator[Process]:
    """A program that can import what tests import; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": python_path(), **variables},
        stdin=DEVNULL,
        stdout=stdout,
        stderr=DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
