"""What calls are given and return, and how a call is broken between two commits."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from model.state import Step, Wait

T = TypeVar("T")

Commits = Generator[None, None, T]

MAX_RESCUES = 2


class Demand(NamedTuple):
    queue: str
    room: int
    claim: bool = True


class Held(NamedTuple):
    """A claimed job, with what the claim's reply said of its node."""

    step: Step
    claim: int
    attempt: int
    max_attempts: int
    settled: str | None
    gated: bool


class Outcome(NamedTuple):
    """What is to be written; `state` suspended without a wait: held by the gate. `skipped`: the job
    is cancelled, its step skipped. `ran`: the step's code did; `raised`: it
    ended with an error of its own.
    """

    held: Held
    state: str
    value: int | None = None
    change: int = 0
    error: bool = False
    delay: bool = False
    wait: tuple[str, Wait] | None = None
    skipped: bool = False
    ran: bool = False
    raised: bool = False


@dataclass
class Worker:
    """`lost` are claims whose reply was lost, `noted` those of which it is known whether their
    outcomes were written, though not yet of all of their batch, `doubtful` those given back without
    a reply; `alive`: its heart beats.
    """

    number: int
    alive: bool = True
    lost: list[int] = field(default_factory=list)
    noted: dict[int, bool] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)


class Unheard(Exception):
    """Thrown where a call stands at its next commit, and the reply of the last one was lost."""


class Lost:
    """The reply, or the whole call, was lost."""


LOST = Lost()


class Crash(NamedTuple):
    """Where a call breaks: at which commit, before or after it."""

    at: int
    after: bool


def run(work: Commits[T], crash: Crash | None = None) -> T | Lost:
    """Make a call up to where it breaks."""
    done = 0
    try:
        next(work)
        while True:
            done += 1
            if crash is not None and crash.at == done:
                if crash.after:
                    next(work)
                    with suppress(Unheard):
                        work.throw(Unheard())
                work.close()
                return LOST
            next(work)
    except StopIteration as end:
        broken = crash is not None and crash.at == done and crash.after
        return LOST if broken else end.value
