"""One engine in a process of its own; and the parent's side of it.

The child says "running" when its engine runs, stops when its input ends or a SIGTERM comes, and
says what it saw. When the parent dies its input ends too, so that no child outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict, Unpack

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from baton import Engine, subscribe
from baton.app import EngineOptions
from baton.contrib.otel import instrument
from baton.words.events import Event, StepFenced, WorkflowFinished
from two_engines.truth import Ledger
from two_engines.workers import Planned

START_TIMEOUT = 30.0
STOP_TIMEOUT = 40.0


class Report(TypedDict):
    """What a process saw: events of finished workflows, and outcomes that were dropped."""

    finished: int
    fenced: int


class EngineProcess:
    """Made by `engine_process`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.report: Report | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> Report:
        """Let it stop gracefully; what it reports."""
        if self.report is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self.report = await self._reported()
        return self.report

    async def terminate(self) -> Report:
        """The same by SIGTERM."""
        self.signal(signal.SIGTERM)
        self.report = await self._reported()
        return self.report

    async def _reported(self) -> Report:
        assert self._process.stdout is not None
        async with asyncio.timeout(STOP_TIMEOUT):
            report: Report = json.loads(await self._process.stdout.readline())
            assert await self._process.wait() == 0
        return report

    async def running(self) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            line = await self._process.stdout.readline()
        assert line == b"running\n", f"the engine's process did not start: {line!r}"

    async def end(self) -> None:
        """Whatever happened, leave nothing running."""
        if self._process.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            await self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


SPANS = "BATON_TEST_SPANS"
"""Names the file that a process writes its spans to, a line of JSON for each."""


@asynccontextmanager
async def engine_process(
    dsn: str, *, spans: Path | None = None, **options: Unpack[EngineOptions]
) -> AsyncIterator[EngineProcess]:
    """A process whose engine runs; stops gracefully when the block ends well. With `spans` it is
    traced, and writes what it ends to that file at once.
    """
    path = os.pathsep.join(
        filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
    )
    made = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__, dsn, json.dumps(options)),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": path, SPANS: str(spans or "")},
    )
    process = EngineProcess(made)
    try:
        await process.running()
        yield process
        if made.returncode is None:
            await process.stop()
    finally:
        await process.end()


async def _stop_asked() -> None:
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, terminated.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    waits = [asyncio.create_task(reader.read()), asyncio.create_task(terminated.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _trace(path: str) -> None:
    provider = TracerProvider()
    exporter = ConsoleSpanExporter(
        out=Path(path).open("a"),  # noqa: SIM115 open as long as the process
        formatter=lambda span: span.to_json(indent=None) + "\n",
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(tracer_provider=provider, metrics=False, events=False)


async def _run(dsn: str, options: dict[str, Any]) -> None:
    if os.environ.get(SPANS):
        _trace(os.environ[SPANS])
    events: list[Event] = []
    subscribe(events.append)
    Planned.ledger = ledger = Ledger(dsn)
    async with Engine(dsn, **options):
        _say("running")
        await _stop_asked()
    finished = [event.workflow_id for event in events if isinstance(event, WorkflowFinished)]
    await ledger.tell(finished)
    await ledger.close()
    fenced = sum(isinstance(event, StepFenced) for event in events)
    _say(json.dumps(Report(finished=len(finished), fenced=fenced)))


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], json.loads(sys.argv[2])))
