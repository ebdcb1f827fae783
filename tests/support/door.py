"""A door between an engine and its server that loses notifications, or falls silent."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.proxy import Streams, connect_to, door_dsn, read_message

LISTENER = b"application_name\0baton-listener\0"
_CHUNK = 65_536


@dataclass(eq=False)
class _Line:
    """One connection. When it is `dead` nothing passes, and neither side hears of the other."""

    client: Streams
    server: Streams
    listens: bool
    dead: asyncio.Event = field(default_factory=asyncio.Event)


class Door:
    """Made by `door`. What is no listener passes untouched."""

    def __init__(self, upstream: str, folder: Path) -> None:
        self._upstream = upstream
        self.dsn = door_dsn(upstream, folder)
        self.path = folder / ".s.PGSQL.5432"
        self.swallowing = False
        """While this is set notifications are lost."""
        self.swallowed = 0
        self.heard = 0
        """Notifications that came through."""
        self.noticed = 0
        """Dead lines that their client gave up."""
        self._frozen = False
        self._lines: set[_Line] = set()

    @property
    def listeners(self) -> int:
        """Lines of listeners that are alive."""
        return sum(line.listens and not line.dead.is_set() for line in self._lines)

    def blackhole(self) -> int:
        """Let the lines of listeners die silently; returns how many did."""
        found = [line for line in self._lines if line.listens and not line.dead.is_set()]
        for line in found:
            line.dead.set()
        return len(found)

    def freeze(self) -> None:
        """From now on nothing passes on any line, old or new, as before a stopped server."""
        self._frozen = True
        for line in self._lines:
            line.dead.set()

    def forget(self) -> None:
        """The client is about to end: that it gives up its lines says nothing."""
        for line in self._lines:
            line.listens = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            greeting = await read_message(reader, b"")
            server = await connect_to(self._upstream)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        line = _Line((reader, writer), server, LISTENER in greeting)
        self._lines.add(line)
        if self._frozen:
            line.dead.set()
        else:
            server[1].write(greeting)
        down = asyncio.create_task(self._down(line))
        try:
            await self._up(line)
            if line.dead.is_set() and line.listens:
                self.noticed += 1
        finally:
            self._lines.discard(line)
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
            self._close(line)

    async def _up(self, line: _Line) -> None:
        with suppress(ConnectionError):
            while chunk := await line.client[0].read(_CHUNK):
                if not line.dead.is_set():
                    line.server[1].write(chunk)
                    await line.server[1].drain()

    async def _down(self, line: _Line) -> None:
        reader, writer = line.server[0], line.client[1]
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                if not line.listens:
                    chunk = await reader.read(_CHUNK)
                    if not chunk:
                        break
                else:
                    kind = await reader.readexactly(1)
                    chunk = await read_message(reader, kind)
                    if kind == b"A" and self.swallowing:
                        self.swallowed += 1
                        continue
                    self.heard += kind == b"A" and not line.dead.is_set()
                if not line.dead.is_set():
                    writer.write(chunk)
                    await writer.drain()
        if not line.dead.is_set():
            writer.close()

    def _close(self, line: _Line) -> None:
        for _, writer in (line.client, line.server):
            writer.close()

    def close(self) -> None:
        for line in list(self._lines):
            self._close(line)


@asynccontextmanager
async def door(dsn: str) -> AsyncIterator[Door]:
    """A door to this database; gone at the end with all that goes through it."""
    folder = Path(tempfile.mkdtemp(prefix="baton-", dir="/tmp"))
    made = Door(dsn, folder)
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_unix_server(accept, made.path)
    try:
        yield made
    finally:
        server.close()
        made.close()
        await asyncio.gather(*serving, return_exceptions=True)
        shutil.rmtree(folder)
