"""The processes: each has a berth that is filled again whenever it dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Unpack

from baton.engine import EngineOptions
from support.door import Door, door
from support.waiting import moment
from two_engines.fault import Fault, Kind
from two_engines.process import EngineProcess, engine_process

RESCUE_AFTER = 2.0
SWEEPS = 1.0
READY_TIMEOUT = 150.0

OPTIONS: EngineOptions = {
    "queues": {"default": 8},
    "heartbeat_interval": 0.5,
    "rescue_after": RESCUE_AFTER,
    "rescue_interval": 0.5,
    # It may happen to one step often here, and is nobody's fault.
    "max_rescues": 1_000,
    "stage_interval": 0.2,
    "poll_interval": 0.5,
    "command_timeout": 5.0,
    "acquire_timeout": 5.0,
    "shutdown_grace": 10.0,
    "pool_size": 5,
}


class Berth:
    """One process after the other, on one database."""

    def __init__(
        self, door: Door, ledger: Path, sweeps: float | None, **options: Unpack[EngineOptions]
    ) -> None:
        self.door = door
        self._ledger = ledger
        self._sweeps = sweeps
        self._options = options
        self._running: EngineProcess | None = None
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._killed = False
        self.started = 0
        self.fenced = 0
        self.faults: list[Fault] = []

    async def keep(self) -> None:
        """Keep a process running until `close`; then let it stop gracefully."""
        while not self._closing.is_set():
            try:
                async with engine_process(
                    self.door.dsn, ledger=self._ledger, sweeps=self._sweeps, **self._options
                ) as process:
                    self.started += 1
                    self._killed = False
                    self._running = process
                    self._ready.set()
                    await self._watch(process)
            except AssertionError:
                # The server was away when it started.
                if self._closing.is_set():
                    raise
            except Exception as error:
                self.faults.append(Fault(Kind.PROCESSES, f"a berth is given up: {error!r}"))
                raise
            finally:
                self._ready.clear()

    async def _watch(self, process: EngineProcess) -> None:
        ended = asyncio.create_task(process.ended())
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait((ended, closing), return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not self._killed:
                text = f"a process ended by itself with {ended.result()}"
                self.faults.append(Fault(Kind.PROCESSES, text))
            elif closing.done():
                self.fenced += (await process.stop())["fenced"]
        finally:
            for task in (ended, closing):
                task.cancel()

    async def running(self) -> EngineProcess:
        """The process, as soon as one runs."""
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self._ready.wait()
        except TimeoutError:
            raise AssertionError(f"no process runs: {self.faults}") from None
        assert self._running is not None
        return self._running

    async def kill(self) -> None:
        process = await self.running()
        self._killed = True
        self._ready.clear()
        self.door.forget()
        await process.kill()

    async def freeze(self, seconds: float) -> None:
        """Stop the process for some time, unless it is killed meanwhile."""
        process = await self.running()
        process.signal(signal.SIGSTOP)
        await moment(asyncio.get_running_loop().time() + seconds)
        if self._running is process and self._ready.is_set():
            process.signal(signal.SIGCONT)

    def close(self) -> None:
        self.door.forget()
        self._closing.set()


@asynccontextmanager
async def fleet(dsn: str, ledger: Path, engines: int) -> AsyncIterator[Sequence[Berth]]:
    """Engines, the second of them without notifications, and a plugin by itself, each behind a door
    of its own. Where the block ends well, all of them have stopped gracefully.
    """
    options: list[EngineOptions] = [{**OPTIONS, "notify": n % 3 != 1} for n in range(engines)]
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(door(dsn)) for _ in range(engines + 1)]
        berths = [
            Berth(behind, ledger, None, **given)
            for behind, given in zip(doors, options, strict=False)
        ]
        berths.append(Berth(doors[-1], ledger, SWEEPS))
        keeping = [asyncio.create_task(berth.keep()) for berth in berths]
        try:
            yield berths
            for berth in berths:
                berth.close()
            await asyncio.gather(*keeping)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
