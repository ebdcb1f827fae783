"""What the process runs that is asked to stop."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from baton import Engine, Step, SyncStep, worker
from baton.engine import EngineOptions

GRACE = 0.5
INTERRUPT_GRACE = 0.2
OPTIONS: EngineOptions = {
    "queues": {"default": 20},
    "shutdown_grace": GRACE,
    "interrupt_grace": INTERRUPT_GRACE,
    "heartbeat_interval": 0.2,
    "rescue_after": 1.0,
    "rescue_interval": 0.1,
    "poll_interval": 0.1,
    "stage_interval": 0.1,
}


@worker(name="outages.quick")
async def quick(step: Step) -> int:
    return step.attempt


@worker(name="outages.slow")
async def slow(step: Step) -> int:
    await asyncio.sleep(0.2)
    return step.attempt


@worker(name="outages.busy")
async def busy(step: Step) -> int:
    """So that something is written at every moment."""
    for _ in range(20):
        await step.record_usage(model="none", input_tokens=1)
        await asyncio.sleep(0.02)
    return step.attempt


@worker(name="outages.blocking")
def blocking(step: SyncStep) -> int:
    time.sleep(0.2)
    return step.attempt


@worker(name="outages.stuck")
def stuck(step: SyncStep) -> None:
    if os.environ.get("BATON_TEST_STUCK"):
        threading.Event().wait()


def make() -> Engine:
    return made(os.environ["BATON_DATABASE_URL"])


def made(dsn: str) -> Engine:
    return Engine(dsn, **OPTIONS)


def make_patient() -> Engine:
    return made_patient(os.environ["BATON_DATABASE_URL"])


def made_patient(dsn: str) -> Engine:
    """One that bears to start beside many others."""
    patient: EngineOptions = {**OPTIONS, "rescue_after": 6.0}
    return Engine(dsn, **patient)
