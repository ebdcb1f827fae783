"""Workflows whose steps have planned ends, and what each step has to come to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from baton import Baton
from two_engines.workers import Awaited, Plan, Planned

# Most steps succeed, so that failures happen in all places of a graph.
PLANS = (
    [Plan.SUCCEED] * 12
    + [Plan.RETRY, Plan.SNOOZE] * 2
    + [
        Plan.DISCARD,
        Plan.CANCEL,
        Plan.EXHAUST,
        Plan.SKIP,
    ]
)


class Fate(NamedTuple):
    """How a step may settle, how often it is performed if no engine dies, and its last attempt.
    `doomed`: it is not even begun.
    """

    states: frozenset[str]
    executions: int
    attempts: int
    doomed: bool = False


@dataclass(frozen=True)
class Graph:
    """The dependencies of each step, in an order of their own; its plan and whom it forgives. What
    has a place in `gates` is a gate instead; `waits` are those inside of steps, in their order.
    """

    deps: Mapping[str, tuple[str, ...]]
    plans: Mapping[str, Plan]
    ignore_cancelled: frozenset[str] = frozenset()
    ignore_discarded: frozenset[str] = frozenset()
    gates: Mapping[str, Awaited] = field(default_factory=dict[str, Awaited])
    waits: Mapping[str, tuple[Awaited, ...]] = field(default_factory=dict[str, tuple[Awaited, ...]])

    def workflow(self, seconds: float = 0.0, max_attempts: int = 3) -> Baton:
        """The workflow to insert; each of its steps works for `seconds`."""
        workflow = Baton()
        for name, plan in self.plans.items():
            if gate := self.gates.get(name):
                workflow.wait(
                    name,
                    at_least=(gate.need, gate.names),
                    on_timeout=gate.on_timeout,
                    deps=self.deps[name],
                    ignore_cancelled=name in self.ignore_cancelled,
                    ignore_discarded=name in self.ignore_discarded,
                    timeout=gate.timeout,
                    correlation_key=gate.key,
                )
                continue
            workflow.add(
                name,
                Planned(plan=plan, seconds=seconds, waits=self.waits.get(name, ())),
                deps=self.deps[name],
                ignore_cancelled=name in self.ignore_cancelled,
                ignore_discarded=name in self.ignore_discarded,
                max_attempts=1 if plan is Plan.EXHAUST else max_attempts,
            )
        return workflow

    def awaited(self, step: str) -> dict[str, Awaited]:
        """What a step waits for, by the keys of its waits."""
        if gate := self.gates.get(step):
            return {"": gate}
        return {f"#{number}": one for number, one in enumerate(self.waits.get(step, ()), 1)}

    def fates(self) -> dict[str, Fate]:
        """What becomes of each step of a workflow that nobody cancels."""
        fates: dict[str, Fate] = {}
        for name, plan in self.plans.items():
            above = {state for dep in self.deps[name] for state in fates[dep].states}
            doomed = ("cancelled" in above and name not in self.ignore_cancelled) or (
                "discarded" in above and name not in self.ignore_discarded
            )
            fates[name] = (
                _DOOMED if doomed else _UNNEEDED if above == {"skipped"} else self._fate(name, plan)
            )
        return fates

    def _fate(self, name: str, plan: Plan) -> Fate:
        if gate := self.gates.get(name):
            return Fate(frozenset(_GATE[gate.on_timeout, end] for end in gate.ends), 0, 0)
        executions = plan.executions + len(self.waits.get(name, ()))
        return Fate(frozenset({plan.state}), executions, 2 if plan is Plan.RETRY else 1)


_GATE = {
    ("result", "completed"): "completed",
    ("result", "timeout"): "completed",
    ("result", "cancelled"): "cancelled",
    ("cancel", "timeout"): "cancelled",
    ("discard", "timeout"): "discarded",
}
_DOOMED = Fate(frozenset({"cancelled"}), 0, 0, doomed=True)
_UNNEEDED = Fate(frozenset({"skipped"}), 0, 0, doomed=True)


@dataclass(frozen=True)
class Expected:
    """An inserted workflow. `cancelled`: somebody cancelled it, at a moment that nobody knows. Of
    its `runs` one ended before somebody retried the steps `again`, which had been performed. A fork
    has what is `taken_over` from its source.
    """

    workflow_id: UUID
    graph: Graph
    cancelled: bool = False
    runs: int = 1
    again: frozenset[str] = frozenset()
    taken_over: frozenset[str] = frozenset()

    def fates(self) -> dict[str, Fate]:
        fates = self.graph.fates()
        for name in self.again:
            fate = fates[name]
            # One that hangs ends only because it is performed again.
            more = 0 if self.graph.plans[name] is Plan.HANG else 1
            fates[name] = fate._replace(
                executions=fate.executions + more, attempts=fate.attempts + 1
            )
        for name in self.taken_over:
            fates[name] = Fate(fates[name].states, 0, 0, doomed=True)
        if not self.cancelled:
            return fates
        return {
            name: fate._replace(states=fate.states | {"cancelled"}) for name, fate in fates.items()
        }


def graph(chance: random.Random, most: int) -> Graph:
    """A graph of up to `most` steps, each of which waits for up to four earlier ones."""
    names = [f"s{number}" for number in range(chance.randint(1, most))]
    deps = {
        name: tuple(chance.sample(names[:place], min(place, chance.randint(0, 4))))
        for place, name in enumerate(names)
    }
    return Graph(deps, *chances(chance, names))


def chances(
    chance: random.Random, names: list[str]
) -> tuple[dict[str, Plan], frozenset[str], frozenset[str]]:
    """Plans of steps, and those of them that forgive what was cancelled, and what was discarded."""
    return (
        {name: chance.choice(PLANS) for name in names},
        frozenset(name for name in names if chance.random() < 0.3),
        frozenset(name for name in names if chance.random() < 0.3),
    )
