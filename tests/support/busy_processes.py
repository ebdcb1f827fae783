"""CPU-bound steps in processes of Baton's own; as a program, an engine that runs them.

python busy_processes.py DSN
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from opentelemetry import trace

from baton import Engine, ProcessExecutor, SyncStep, worker

POOL = ProcessExecutor(max_workers=2)


def _spin() -> None:
    while True:
        pass


@worker(name="busy.spins", executor=POOL, max_attempts=1)
def spins(step: SyncStep, *, pids: str) -> None:
    (Path(pids) / str(os.getpid())).touch()
    _spin()


@worker(name="busy.pid", executor=POOL, max_attempts=1)
def pid(step: SyncStep) -> int:
    return os.getpid()


@worker(name="busy.traced", executor=POOL, max_attempts=1)
def traced(step: SyncStep) -> list[str]:
    found = trace.get_current_span().get_span_context()
    return [trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)]


@worker(name="busy.dies", executor=POOL, max_attempts=1)
def dies(step: SyncStep) -> None:
    os._exit(3)


if __name__ == "__main__":
    asyncio.run(Engine(sys.argv[1], queues={"default": 5}, poll_interval=0.1).run())
