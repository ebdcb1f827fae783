"""Run one engine as the whole work of a process, until a signal stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from baton.cli.health import answering
from baton.cli.reporting import FAILED, say
from baton.cli.reports import Report
from baton.engine import Engine

_new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
with suppress(ModuleNotFoundError):
    import uvloop

    _new_loop = uvloop.new_event_loop

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Beyond the engine's own deadlines: for what the process has to write out at its end.
EXIT_SECONDS = 2.0


def serve(
    engine: Engine,
    report: Report,
    health: tuple[str, int] | None = None,
    notice: Callable[[str], None] = say,
) -> None:
    """Run the engine, write a report of its work, and answer probes at `health`.

    The first SIGINT or SIGTERM stops it gracefully, within `shutdown_grace` and `interrupt_grace`;
    a second one ends the process at once, with the status 128 + signal.
    """
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        _listen_to_signals(runner.get_loop(), engine, notice)
        status = FAILED
        try:
            with report.open():
                runner.run(_run(engine, report, health))
            status = 0
        finally:
            _end_soon(status)


async def _run(engine: Engine, report: Report, health: tuple[str, int] | None) -> None:
    summaries = asyncio.get_running_loop().create_task(report.summaries())
    try:
        async with answering(engine, health):
            await engine.run()
    finally:
        summaries.cancel()


def _listen_to_signals(
    loop: asyncio.AbstractEventLoop, engine: Engine, notice: Callable[[str], None]
) -> None:
    # Python's own handlers, not the loop's: they answer also while a step keeps the loop busy.
    stopping: list[asyncio.Task[None]] = []
    asked = False

    def stop() -> None:
        stopping.append(loop.create_task(engine.stop()))

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            notice("ended at once by a second signal; other engines rescue the running jobs")
            os._exit(128 + number)
        asked = True
        notice(f"{signal.Signals(number).name}: stopping; a second signal ends at once")
        loop.call_soon_threadsafe(stop)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    if hasattr(os, "register_at_fork"):
        _leave_signals_to_children(before, handle)


def _leave_signals_to_children(before: Mapping[signal.Signals, Any], ours: Any) -> None:
    """A forked child has no engine to stop: whoever sends it a signal wants it to end.

    A signal that comes before the child has its own handlers again would be lost: it is kept back
    around the fork.
    """
    masks = threading.local()

    def keep_back() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def let_in() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, handler)
        let_in()

    os.register_at_fork(before=keep_back, after_in_parent=let_in, after_in_child=restore)


def _end_soon(status: int) -> None:
    """Do not let a step's thread that never returns hold up the end of the process."""

    def end() -> None:
        say("some steps never returned; they are abandoned")
        os._exit(status)

    timer = threading.Timer(EXIT_SECONDS, end)
    timer.daemon = True
    timer.start()
