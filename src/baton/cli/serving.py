"""Run one engine as the whole work of a process, until a signal stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from baton.app import Engine
from baton.cli.reporting import FAILED, say
from baton.engine.telemetry import subscribe
from baton.words.events import EngineStarted, Event

_new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
with suppress(ModuleNotFoundError):
    import uvloop

    _new_loop = uvloop.new_event_loop

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Beyond the engine's own deadlines: for what the process has to write out at its end.
EXIT_SECONDS = 2.0


def serve(engine: Engine) -> None:
    """Run the engine. The first SIGINT or SIGTERM stops it gracefully, within `shutdown_grace` and
    `interrupt_grace`; a second one ends the process at once, with the status 128 + signal.
    """
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        _listen_to_signals(runner.get_loop(), engine)
        unsubscribe = subscribe(_tell)
        status = FAILED
        try:
            runner.run(engine.run())
            status = 0
        finally:
            unsubscribe()
            _end_soon(status)


def _listen_to_signals(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    # Python's own handlers, not the loop's: they answer also while a step keeps the loop busy.
    stopping: list[asyncio.Task[None]] = []
    asked = False

    def stop() -> None:
        stopping.append(loop.create_task(engine.stop()))

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            say("ended at once by a second signal; other engines rescue the running jobs")
            os._exit(128 + number)
        asked = True
        say(f"{signal.Signals(number).name}: stopping; a second signal ends at once")
        loop.call_soon_threadsafe(stop)

    for number in SIGNALS:
        signal.signal(number, handle)


def _end_soon(status: int) -> None:
    """Do not let a step's thread that never returns hold up the end of the process."""

    def end() -> None:
        say("some steps never returned; they are abandoned")
        os._exit(status)

    timer = threading.Timer(EXIT_SECONDS, end)
    timer.daemon = True
    timer.start()


def _tell(event: Event) -> None:
    if isinstance(event, EngineStarted):
        say(f"the engine {event.engine!r} runs, queues: {', '.join(event.queues) or 'none'}")
