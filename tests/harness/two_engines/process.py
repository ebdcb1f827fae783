"""One engine in a process of its own; and the parent's side of it.

The child says "running" when its engine runs, stops when its input ends or a SIGTERM comes, and
says what it saw. When the parent dies its input ends too, so that no child outlives it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict, Unpack
from uuid import UUID

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from baton import Engine, Plugin, subscribe
from baton.contrib.otel import instrument
from baton.engine import EngineOptions
from baton.runtime import notifier
from baton.words.events import Event, StepFenced, SweepFinished, WorkflowFinished
from support.places import python_path
from two_engines.truth import FileLedger, Ledger
from two_engines.workers import Planned

START_TIMEOUT = 120.0
STOP_TIMEOUT = 40.0
PROBE_INTERVAL = 2.0
"""Of processes that live for seconds only."""


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

    async def ended(self) -> int:
        """Wait until it has ended by whatever; its exit code."""
        return await self._process.wait()

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
            # It may have ended, and been reaped, and nobody told us yet.
            with suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGKILL)
            await self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


SPANS = "BATON_TEST_SPANS"
"""Names the file that a process writes its spans to, a line of JSON for each."""
LEDGER = "BATON_TEST_LEDGER"
"""Names the folder of the ledger where it is not in the database."""
SWEEPS = "BATON_TEST_SWEEPS"
"""Seconds between the sweeps of a process that does nothing else."""


@asynccontextmanager
async def engine_process(
    dsn: str,
    *,
    spans: Path | None = None,
    ledger: Path | None = None,
    sweeps: float | None = None,
    **options: Unpack[EngineOptions],
) -> AsyncIterator[EngineProcess]:
    """A process whose engine runs; stops gracefully when the block ends well. With `spans` it is
    traced, and writes what it ends to that file at once. With `ledger` it keeps its books, and what
    it logs, in that folder. With `sweeps` it is a plugin without an engine.
    """
    variables = {SPANS: str(spans or ""), LEDGER: str(ledger or ""), SWEEPS: str(sweeps or "")}
    with (Path(os.devnull) if ledger is None else ledger / "log").open("ab") as log:
        made = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", __name__, dsn, json.dumps(options)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=None if ledger is None else log,
            env={**os.environ, "PYTHONPATH": python_path(), **variables},
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
    seen: Counter[type[Event]] = Counter()
    subscribe(lambda event: seen.update((type(event),)))
    if os.environ.get(LEDGER):
        _die_with_parent()
        logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(message)s")
        notifier.PROBE_INTERVAL = PROBE_INTERVAL
        Planned.ledger = lines = FileLedger(Path(os.environ[LEDGER]))
        subscribe(lambda e: lines.told(e.workflow_id) if isinstance(e, WorkflowFinished) else None)
        await _work(dsn, options)
    else:
        finished: list[UUID] = []
        subscribe(
            lambda e: finished.append(e.workflow_id) if isinstance(e, WorkflowFinished) else None
        )
        Planned.ledger = ledger = Ledger(dsn)
        await _work(dsn, options)
        await ledger.tell(finished)
        await ledger.close()
    _say(json.dumps(Report(finished=seen[WorkflowFinished], fenced=seen[StepFenced])))


async def _work(dsn: str, options: dict[str, Any]) -> None:
    if os.environ.get(SWEEPS):
        swept = asyncio.Event()
        subscribe(lambda e: swept.set() if isinstance(e, SweepFinished) else None)
        sweeping = asyncio.create_task(Plugin(float(os.environ[SWEEPS])).run(dsn))
        first = asyncio.create_task(swept.wait())
        await asyncio.wait((sweeping, first), return_when=asyncio.FIRST_COMPLETED)
        if not sweeping.done():
            _say("running")
        asked = asyncio.create_task(_stop_asked())
        await asyncio.wait((sweeping, asked), return_when=asyncio.FIRST_COMPLETED)
        if sweeping.done():
            sweeping.result()
        sweeping.cancel()
        await asyncio.wait((sweeping,))
        return
    async with Engine(dsn, **options):
        _say("running")
        await _stop_asked()


def _die_with_parent() -> None:
    """Also when this process is stopped, and cannot see its input end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], json.loads(sys.argv[2])))
