"""A step that forks children and ends them by signals; served by `baton worker`."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

from baton import Engine, SyncStep, worker

SECONDS = 60.0
EXPECTED: dict[str, Any] = {
    "process": -signal.SIGTERM,
    "fork": [-signal.SIGTERM, -signal.SIGINT],
    "pool": [],
}


@worker(name="forked_children.forks", max_attempts=1)
def forks(step: SyncStep, *, how: str) -> Any:
    match how:
        case "process":
            child = get_context("fork").Process(target=time.sleep, args=(SECONDS,))
            child.start()
            child.terminate()
            child.join(10)
            return child.exitcode
        case "fork":
            return [_forked(number) for number in (signal.SIGTERM, signal.SIGINT)]
        case _:
            return _broken_pool()


def _forked(number: signal.Signals) -> int:
    """How a bare child ended; Python's own answer to SIGINT is an error, which ends it too."""
    child = os.fork()
    if child == 0:
        try:
            time.sleep(SECONDS)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(1)
    time.sleep(0.2)
    os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _broken_pool() -> list[int]:
    """The children that are left of a pool of which one child was killed."""
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        busy = [pool.submit(time.sleep, SECONDS) for _ in range(2)]
        processes = list(pool._processes.values())
        assert processes[0].pid is not None
        os.kill(processes[0].pid, signal.SIGKILL)
        for future in busy:
            with suppress(BrokenProcessPool):
                future.result(timeout=10)
        for process in processes:
            process.join(10)
    return [process.pid for process in processes if process.is_alive() and process.pid]


def engine() -> Engine:
    return Engine(os.environ["BATON_FORKING_DSN"], queues={"default": 1})
