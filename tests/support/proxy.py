"""A door between an engine and its server that counts round trips, and slams at a chosen one.

A boundary is a message that makes the server work and answer: Sync, or a simple Query.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from support.waiting import eventually

_PORT = 5432
_ANSWER_TIMEOUT = 5.0
# How the driver gets to know a server's types, and we whether a pooler is in between: nothing of
# ours has been said by then.
_SETTING_UP = ("current_setting('jit')", "current_setting('lock_timeout')", "typeinfo_tree")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way(StrEnum):
    """What breaks: one connection; all at that moment and for good, as the death of the process
    would break them; the process itself, by SIGKILL; the server's end of the connection, which says
    so.
    """

    LOST = "lost connection"
    CRASH = "crash"
    KILL = "killed process"
    TERMINATE = "terminated backend"

    @property
    def ends_all(self) -> bool:
        return self in (Way.CRASH, Way.KILL)


class Cut(NamedTuple):
    """Where it breaks: before the boundary's message reaches the server, or `after` the server has
    done its work and before anybody hears of it. Only boundaries where `words` are said count.
    """

    boundary: int
    after: bool
    way: Way
    words: str = ""

    def __str__(self) -> str:
        where = f"{self.words} {self.boundary}".strip()
        return f"{self.way} {'after' if self.after else 'before'} {where}"


@dataclass(eq=False)
class _Line:
    """One connection through the door. `answered`: the server has, and nobody heard."""

    client: Streams
    server: Streams
    muted: bool = False
    statement: str = ""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    backend: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        for _, writer in (self.client, self.server):
            writer.close()


class Proxy:
    """Made by `proxied`. Counts from `arm` on."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._upstream = dsn
        self.dsn = door_dsn(dsn, folder)
        self.path = folder / f".s.PGSQL.{_PORT}"
        self.cut = asyncio.Event()
        """Set when the cut has happened."""
        self.boundaries: list[str] = []
        """The statement of each boundary so far."""
        self.struck = ""
        """The statement at which it broke."""
        self.swallowing = False
        """While this is set nothing passes, on no line, and nobody is told."""
        self.swallowed = 0
        """Messages that did not pass."""
        self.kill: Callable[[], Awaitable[None]] | None = None
        """Kills the process behind the door, where it has one of its own."""
        self._last = 0.0
        self._plan: Cut | None = None
        self._armed = False
        self._slammed = False
        self._lines: set[_Line] = set()
        self._breaking: asyncio.Task[None] | None = None

    def arm(self, plan: Cut | None = None) -> None:
        """Count from now on, and break as planned."""
        self._armed, self._plan = True, plan

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing has come through for so long."""
        self._last = monotonic()

        async def look() -> bool:
            return monotonic() - self._last > seconds

        await eventually(look)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._slammed:
            writer.close()
            return
        try:
            server = await connect_to(self._upstream)
        except OSError:
            writer.close()
            return
        line = _Line((reader, writer), server)
        self._lines.add(line)
        tasks = [asyncio.create_task(self._up(line)), asyncio.create_task(self._down(line))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._lines.discard(line)
            line.close()

    async def _up(self, line: _Line) -> None:
        reader, (_, writer) = line.client[0], line.server
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            # The first message has no letter before its length.
            await self._pass(writer, await read_message(reader, b""))
            held = b""
            names: dict[bytes, str] = {}
            while True:
                kind = await reader.readexactly(1)
                message = await read_message(reader, kind)
                line.statement = statement_of(kind, message[5:], names) or line.statement
                if kind in b"SQ" and self._breaks_at(line):
                    # Its end ends this line, and must come to its own end all the same.
                    self._breaking = asyncio.create_task(self._break(line, held + message))
                    await asyncio.shield(self._breaking)
                    return
                # The parts of one request go on together.
                held += message
                if kind not in b"PBDEC":
                    await self._pass(writer, held)
                    held = b""

    async def _down(self, line: _Line) -> None:
        (reader, _), (_, writer) = line.server, line.client
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind = await reader.readexactly(1)
                message = await read_message(reader, kind)
                if kind == b"K":
                    line.backend = int.from_bytes(message[5:9], "big")
                if not line.muted:
                    await self._pass(writer, message)
                elif kind == b"Z":
                    line.answered.set()
        line.over.set()

    async def _pass(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        if self.swallowing:
            self.swallowed += 1
        else:
            await _forward(writer, message)

    def drop_lines(self) -> None:
        """Close every connection; new ones may come."""
        for line in list(self._lines):
            line.close()

    def _breaks_at(self, line: _Line) -> bool:
        self._last = monotonic()
        if not self._armed or self._slammed:
            return False
        if any(words in line.statement for words in _SETTING_UP):
            return False
        self.boundaries.append(line.statement)
        if self._plan is None or self._plan.words not in line.statement:
            return False
        count = sum(self._plan.words in statement for statement in self.boundaries)
        if count == self._plan.boundary:
            self.struck = line.statement
        return count == self._plan.boundary

    async def _break(self, line: _Line, message: bytes) -> None:
        assert self._plan is not None
        way = self._plan.way
        if way is Way.CRASH:
            self._slam(line)
        if self._plan.after:
            line.muted = True
            await _forward(line.server[1], message)
            with suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER_TIMEOUT):
                    await line.answered.wait()
        if way is Way.KILL:
            assert self.kill is not None
            self._slammed = True
            self.cut.set()
            await self.kill()
            self._slam(line)
        if way is Way.TERMINATE:
            line.muted = False
            await self._terminate(line)
        line.close()
        self.cut.set()

    def _slam(self, line: _Line) -> None:
        self._slammed = True
        for other in list(self._lines):
            if other is not line:
                other.close()

    async def _terminate(self, line: _Line) -> None:
        """End the server's side of a line, and let its last words through."""
        connection = await asyncpg.connect(self._upstream)
        try:
            await connection.execute(
                "SELECT pg_catalog.pg_terminate_backend($1, 5000)", line.backend
            )
        finally:
            await connection.close()
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            await line.over.wait()

    async def close(self) -> None:
        self._slammed = True
        self.drop_lines()
        if self._breaking is not None:
            await self._breaking


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[Proxy]:
    """A door to this database, open; gone at the end with all that goes through it."""
    # Short, because the name of a socket may be about 100 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="baton-", dir="/tmp"))
    proxy = Proxy(dsn, folder)
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_unix_server(accept, proxy.path)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await asyncio.gather(*serving, return_exceptions=True)
        shutil.rmtree(folder)


def door_dsn(dsn: str, folder: Path) -> str:
    """The DSN of the same database behind a door in this folder."""
    parts = urlsplit(dsn)
    return urlunsplit(
        parts._replace(netloc=parts.netloc.rpartition("@")[0] + "@", query=f"host={folder}")
    )


async def connect_to(dsn: str) -> Streams:
    """A bare connection to the server of this DSN. Raises OSError."""
    parts = urlsplit(dsn)
    given = parse_qs(parts.query).get("host", [parts.hostname or "localhost"])[0]
    port = parts.port or _PORT
    if given.startswith("/"):
        return await asyncio.open_unix_connection(f"{given}/.s.PGSQL.{port}")
    return await asyncio.open_connection(given, port)


async def read_message(reader: asyncio.StreamReader, kind: bytes) -> bytes:
    """The rest of a message that begins with `kind`, with it."""
    length = await reader.readexactly(4)
    return kind + length + await reader.readexactly(int.from_bytes(length, "big") - 4)


async def _forward(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(message)
    await writer.drain()


def statement_of(kind: bytes, body: bytes, names: dict[bytes, str]) -> str:
    """The text that a message runs; empty when it runs none."""
    match kind:
        case b"Q":
            return body.rstrip(b"\0").decode()
        case b"P":
            name, text, _ = body.split(b"\0", 2)
            names[name] = text.decode()
            return names[name]
        case b"B":
            return names.get(body.split(b"\0", 2)[1], "")
        case _:
            return ""
