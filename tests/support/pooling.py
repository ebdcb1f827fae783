"""A pooler as mean as one may be: each transaction gets any of a few sessions, by chance.

Like PgBouncer in transaction mode it refuses settings at the start. It needs no installation; the
real one takes part in `python -m tests.harness.environments`.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from support.proxy import Streams, connect_to, read_message, statement_of

_ACCEPTED = {"user", "database", "client_encoding", "application_name"}
_PROTOCOL = 196608
_IDLE = b"Z\0\0\0\x05I"


class Pooler:
    """Made by `pooled`."""

    def __init__(self, dsn: str, folder: Path, seed: int, *, swallows: bool) -> None:
        parts = urlsplit(dsn)
        self._upstream = dsn
        self._login = f"user\0{parts.username}\0database\0{parts.path[1:]}\0\0".encode()
        self._chance = random.Random(seed)
        self._free: list[Streams] = []
        self._returned = asyncio.Condition()
        self._greeting = b""
        self.path = folder / ".s.PGSQL.5432"
        self.dsn = urlunsplit(parts._replace(netloc=f"{parts.username}@", query=f"host={folder}"))
        self.transactions: Counter[str] = Counter()
        """How often a transaction had these statements, each in one line."""
        self.refused: Counter[str] = Counter()
        """The settings for which clients were refused."""
        self.swallows = swallows
        """Whether it takes those settings and forgets them."""
        self.swallowed: Counter[str] = Counter()

    async def add_session(self) -> None:
        reader, writer = await connect_to(self._upstream)
        try:
            self._greeting = await self._greet(reader, writer)
        except BaseException:
            writer.close()
            raise
        async with self._returned:
            self._free.append((reader, writer))
            self._returned.notify()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        body = _PROTOCOL.to_bytes(4, "big") + self._login
        writer.write((len(body) + 4).to_bytes(4, "big") + body)
        greeting = b""
        while not greeting.endswith(_IDLE):
            kind = await reader.readexactly(1)
            greeting += await read_message(reader, kind)
            assert kind != b"E", greeting
        return greeting

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                body = (await read_message(reader, b""))[4:]
                if int.from_bytes(body[:4], "big") == _PROTOCOL:
                    await self._admit(body[4:].split(b"\0")[0:-2:2], reader, writer)
        finally:
            writer.close()

    async def _admit(
        self, names: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for name in names:
            if name.decode() not in _ACCEPTED and self.swallows:
                self.swallowed[name.decode()] += 1
            elif name.decode() not in _ACCEPTED:
                self.refused[name.decode()] += 1
                said = f"unsupported startup parameter: {name.decode()}"
                body = f"SFATAL\0VFATAL\0C08P01\0M{said}\0\0".encode()
                writer.write(b"E" + (len(body) + 4).to_bytes(4, "big") + body)
                await writer.drain()
                return
        writer.write(self._greeting)
        while (kind := await reader.readexactly(1)) != b"X":
            message = await read_message(reader, kind)
            async with self._returned:
                await self._returned.wait_for(lambda: bool(self._free))
                session = self._free.pop(self._chance.randrange(len(self._free)))
            try:
                await self._transaction(message, (reader, writer), session)
            except BaseException:
                # What was left in the middle is nobody else's to go on with.
                session[1].close()
                await self.add_session()
                raise
            async with self._returned:
                self._free.append(session)
                self._returned.notify()

    async def _transaction(self, message: bytes, client: Streams, session: Streams) -> None:
        said: list[str] = []
        answers = asyncio.create_task(_answer(session[0], client[1]))
        try:
            while True:
                if message[:1] in b"QP":
                    said.append(" ".join(statement_of(message[:1], message[5:], {}).split()))
                session[1].write(message)
                more = asyncio.create_task(client[0].readexactly(1))
                await asyncio.wait((more, answers), return_when=asyncio.FIRST_COMPLETED)
                if not more.done():
                    more.cancel()
                    await asyncio.wait((more,))
                    break
                message = await read_message(client[0], more.result())
            await answers
        finally:
            answers.cancel()
        self.transactions["; ".join(said)] += 1

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()


async def _answer(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Pass answers on until the transaction has ended."""
    message = b""
    while message != _IDLE:
        kind = await server.readexactly(1)
        message = await read_message(server, kind)
        client.write(message)


@asynccontextmanager
async def pooled(
    dsn: str, *, sessions: int = 3, seed: int = 1, swallows: bool = False
) -> AsyncIterator[Pooler]:
    """A pooler before this database; gone at the end with its sessions. One that `swallows` takes
    all settings at the start and forgets them, as Supavisor does.
    """
    # Short, because the name of a socket may be about 100 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="baton-", dir="/tmp"))
    pooler = Pooler(dsn, folder, seed, swallows=swallows)
    for _ in range(sessions):
        await pooler.add_session()
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(pooler.serve(reader, writer))
        serving.add(task)
        # One that was cancelled before it began closes nothing.
        task.add_done_callback(lambda _: writer.close())
        task.add_done_callback(serving.discard)

    server = await asyncio.start_unix_server(accept, pooler.path)
    try:
        yield pooler
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await pooler.close()
        shutil.rmtree(folder)
