"""The workflows: of every kind, each with the end it has to come to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import ClassVar, NamedTuple

from baton import Baton, Discard, Snooze, Step, SyncStep, WaitEvents, Worker, worker

FORGET = 60.0
"""Seconds for which a wait may stand, longer than anything here takes: the event was lost."""


class Plain(Worker, name="soak.plain"):
    """Returns something of some size."""

    size: int = 100

    async def perform(self, step: Step) -> dict[str, object]:
        await asyncio.sleep(0)
        return {"of": sorted(await step.results()), "text": "x" * self.size}


class Threaded(Worker, name="soak.threaded"):
    def perform(self, step: SyncStep) -> int:
        return sum(range(1_000))


class Fails(Worker, name="soak.fails", backoff=0.02):
    """Raises until its last attempt, and then too where it is `doomed`."""

    doomed: bool = False

    async def perform(self, step: Step) -> str:
        if self.doomed:
            raise ValueError("as planned")
        if step.attempt < 2:
            raise RuntimeError("not yet")
        return "at last"


class Snoozes(Worker, name="soak.snoozes"):
    snoozed: ClassVar[set[int]] = set()

    async def perform(self, step: Step) -> object:
        if step.job_id in self.snoozed:
            self.snoozed.discard(step.job_id)
            return "awake"
        self.snoozed.add(step.job_id)
        return Snooze(0.05)


class Waits(Worker, name="soak.waits"):
    async def perform(self, step: Step) -> object:
        noted = await step.memo("noted", _noted)
        answer = await step.wait_any("go", timeout=FORGET)
        return f"{noted}: {answer}" if isinstance(answer, WaitEvents) else Discard(repr(answer))


async def _noted() -> str:
    return "noted"


class Records(Worker, name="soak.records"):
    """Records what it used and captures what it saw."""

    async def perform(self, step: Step) -> None:
        await step.record_usage(model="house-llm", input_tokens=10, output_tokens=5)
        await step.capture("context", {"messages": ["x" * 200]})


@worker(name="soak.gives_up")
async def gives_up(step: Step) -> object:
    return Discard("as planned")


class Kind(NamedTuple):
    """`event`: what the application sends once it is inserted; `steady`: its time is measured."""

    build: Callable[[random.Random, str], Baton]
    outcome: str = "completed"
    event: str | None = None
    by_key: bool = False
    cancelled: bool = False
    steady: bool = False


def _diamond(chance: random.Random, key: str) -> Baton:
    made = Baton(workflow_name="diamond").add("a", Plain(size=chance.randint(1, 2_000)))
    made.add("b", Plain(), deps=["a"]).add("c", Threaded(), deps=["a"])
    return made.add("d", Plain(), deps=["b", "c"])


def _fan(chance: random.Random, key: str) -> Baton:
    made = Baton(workflow_name="fan")
    names = [f"s{number}" for number in range(chance.randint(2, 12))]
    for name in names:
        made.add(name, Plain())
    return made.add("join", Plain(), deps=names)


def _chain(chance: random.Random, key: str) -> Baton:
    made = Baton(workflow_name="chain").add("s0", Plain())
    for number in range(1, 5):
        made.add(f"s{number}", Plain(), deps=[f"s{number - 1}"])
    return made


def _failing(chance: random.Random, key: str) -> Baton:
    made = Baton().add("a", Plain()).add("b", Fails(doomed=True), deps=["a"], max_attempts=2)
    made.add("c", Plain(), deps=["b"]).add("d", gives_up.new(), ignore_discarded=True)
    return made.add("e", Plain(), deps=["d"], ignore_discarded=True)


def _gate(chance: random.Random, key: str) -> Baton:
    made = Baton().add("a", Plain())
    made.wait("gate", any_of=["go"], timeout=FORGET, on_timeout="discard", deps=["a"])
    return made.add("b", Plain(), deps=["gate"])


def _left(chance: random.Random, key: str) -> Baton:
    """Nobody sends to its gate, and its time would do no harm."""
    return Baton().add("a", Plain()).wait("gate", any_of=["go"], timeout=FORGET, deps=["a"])


def _keyed(chance: random.Random, key: str) -> Baton:
    return Baton().wait(
        "gate", any_of=["go"], timeout=FORGET, on_timeout="discard", correlation_key=key
    )


KINDS: dict[str, tuple[int, Kind]] = {
    "diamond": (30, Kind(_diamond, steady=True)),
    "fan": (15, Kind(_fan, steady=True)),
    "chain": (10, Kind(_chain, steady=True)),
    "retry": (8, Kind(lambda _, __: Baton().add("a", Fails(), max_attempts=5))),
    "failure": (6, Kind(_failing, outcome="failed")),
    "snooze": (6, Kind(lambda _, __: Baton().add("a", Snoozes()).add("b", Plain(), deps=["a"]))),
    "gate": (6, Kind(_gate, event="go")),
    "wait": (6, Kind(lambda _, __: Baton().add("a", Waits()), event="go")),
    "key": (5, Kind(_keyed, event="go", by_key=True)),
    "cancel": (3, Kind(_left, outcome="cancelled", cancelled=True)),
    "usage": (5, Kind(lambda _, __: Baton(debug=True).add("a", Records()))),
}
