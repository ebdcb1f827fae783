"""Answers health probes over HTTP while a worker runs.

    GET /livez    200 while the event loop answers
    GET /readyz   200 while the engine runs and its database answers, else 503

Both answer with JSON that says what is wrong. A probe of another path gets 404.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from baton.cli.reporting import MISUSED, fail
from baton.core.jsonvalue import encode
from baton.engine import Engine
from baton.telemetry.seam import subscribe
from baton.words.events import ConnectionLost, ConnectionRegained, Event

_REQUEST_SECONDS = 5.0
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

# Without notifications polling does the work; a sweep is for what went wrong before.
_DISPENSABLE = frozenset({"listen", "sweep"})


def parse_address(given: str) -> tuple[str, int]:
    """`PORT`, `HOST:PORT` or `[IPv6]:PORT`; ends the command for anything else."""
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        fail(f"--health {given!r}: expected PORT or HOST:PORT, such as 8080", MISUSED)
    return host.strip("[]") or "127.0.0.1", int(port)


class Health:
    """What is known of an engine's health."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failing: dict[str, str] = {}

    def note(self, event: Event) -> None:
        """Learn from an event what fails and what works again."""
        if isinstance(event, ConnectionLost) and event.engine == self._engine.name:
            self._failing[event.what] = event.error
        elif isinstance(event, ConnectionRegained) and event.engine == self._engine.name:
            self._failing.pop(event.what, None)

    def answer(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        """The status and the facts for one request."""
        if path not in ("/livez", "/readyz"):
            return 404, {"error": "there are /livez and /readyz"}
        if method not in ("GET", "HEAD"):
            return 405, {"error": "GET and HEAD are answered"}
        # No error's text: it may name hosts and roles, and whoever can reach the port reads it.
        facts: dict[str, object] = {
            "engine": self._engine.name,
            "state": self._engine.state,
            "queues": dict(self._engine.settings.queues),
            "failing": sorted(self._failing),
        }
        ready = self._engine.state == "running" and not self._failing.keys() - _DISPENSABLE
        return (200 if ready or path == "/livez" else 503), facts


@asynccontextmanager
async def answering(engine: Engine, address: tuple[str, int] | None) -> AsyncGenerator[None]:
    """Answer probes of this engine at an address while this is open; without an address, none. Ends
    the command where the address cannot be taken.
    """
    if address is None:
        yield
        return
    health = Health(engine)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await _serve(health, reader, writer)
        except (OSError, TimeoutError, ValueError):
            return
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(serve, *address, limit=8_192)
    except OSError as error:
        fail(f"--health {address[0]}:{address[1]} cannot be served: {error}")
    unsubscribe = subscribe(health.note)
    try:
        yield
    finally:
        unsubscribe()
        server.close()


async def _serve(
    health: Health, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    method, path, _ = (await reader.readline()).decode("latin-1").split(maxsplit=2)
    while (await reader.readline()).strip():
        pass
    status, facts = health.answer(method, path.partition("?")[0])
    body = encode(facts, what="the answer").encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + (b"" if method == "HEAD" else body))
    await writer.drain()
