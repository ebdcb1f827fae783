"""Workers that are performed in another process, which has to import them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

from baton import Cancel, Discard, Snooze, Step, SyncStep, Worker, worker


def make_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


class TwoFactsError(Exception):
    """Pickles, but cannot be unpickled: what raises it breaks a pool that has to bring it back."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def misbehave(how: str) -> Any:
    match how:
        case "unpicklable error":
            raise TwoFactsError("this", "that")
        case "local error":

            class LocalError(Exception):
                pass

            raise LocalError("nobody else knows")
        case "lambda":
            return lambda: None
        case "stop":
            raise StopIteration
        case "exit":
            raise SystemExit(3)
        case "cancel":
            return Cancel("from afar")
        case "large":
            return "x" * 3_000_000
        case "die":
            os._exit(3)
        case _:
            return os.getpid()


def nap(step: SyncStep, *, seconds: float) -> int:
    threading.Event().wait(seconds)
    return os.getpid()


class Napping(Worker, executor=make_pool, max_attempts=1):
    seconds: float

    def perform(self, step: SyncStep) -> int:
        return nap(step, seconds=self.seconds)


class Apart(Worker, executor=make_pool, max_attempts=1):
    how: str = "well"

    def perform(self, step: SyncStep) -> Any:
        return misbehave(self.how)


@worker(executor=make_pool, max_attempts=2, backoff=0)
def apart(step: SyncStep, *, factor: int) -> Any:
    if step.attempt == 1:
        raise ValueError("again")
    return [os.getpid(), factor * step.result("a", int), step.results(), step.name, dict(step.meta)]


@worker(executor=make_pool, max_attempts=2, backoff=0)
def spend_apart(step: SyncStep) -> Any:
    step.record_usage(model="gpt-4o", input_tokens=10 * step.attempt, output_tokens=1)
    step.capture("context", {"attempt": step.attempt})
    if step.attempt == 1:
        raise ValueError("again")
    return [os.getpid(), step.model, step.debug]


@worker(executor=make_pool)
def asks_apart(step: SyncStep, *, how: str) -> None:
    match how:
        case "snooze":
            raise Snooze(timedelta(hours=1))
        case "cancel":
            raise Cancel("withdrawn")
        case _:
            raise Discard("void")


@worker
async def zero(step: Step) -> int:
    return 0


@worker(executor=make_pool)
def grows_apart(step: SyncStep) -> str:
    step.add("leaf-0", zero.new(), before=["join"])
    return "listed"
