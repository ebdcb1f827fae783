"""Workflows whose steps have planned ends, and what each step has to come to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from baton import Baton
from two_engines.workers import Plan, Planned

# Most steps succeed, so that failures happen in all places of a graph.
PLANS = (
    [Plan.SUCCEED] * 12
    + [Plan.RETRY, Plan.SNOOZE] * 2
    + [
        Plan.DISCARD,
        Plan.CANCEL,
        Plan.EXHAUST,
    ]
)


class Fate(NamedTuple):
    """How a step may settle, how often it is performed if no engine dies, and its last attempt."""

    states: frozenset[str]
    executions: int
    attempts: int


@dataclass(frozen=True)
class Graph:
    """The dependencies of each step, in an order of their own; its plan and whom it forgives."""

    deps: Mapping[str, tuple[str, ...]]
    plans: Mapping[str, Plan]
    ignore_cancelled: frozenset[str] = frozenset()
    ignore_discarded: frozenset[str] = frozenset()

    def workflow(self, seconds: float = 0.0, max_attempts: int = 3) -> Baton:
        """The workflow to insert; each of its steps works for `seconds`."""
        workflow = Baton()
        for name, plan in self.plans.items():
            workflow.add(
                name,
                Planned(plan=plan, seconds=seconds),
                deps=self.deps[name],
                ignore_cancelled=name in self.ignore_cancelled,
                ignore_discarded=name in self.ignore_discarded,
                max_attempts=1 if plan is Plan.EXHAUST else max_attempts,
            )
        return workflow

    def fates(self) -> dict[str, Fate]:
        """What becomes of each step of a workflow that nobody cancels."""
        fates: dict[str, Fate] = {}
        for name, plan in self.plans.items():
            above = {state for dep in self.deps[name] for state in fates[dep].states}
            doomed = ("cancelled" in above and name not in self.ignore_cancelled) or (
                "discarded" in above and name not in self.ignore_discarded
            )
            fates[name] = _DOOMED if doomed else _fate(plan)
        return fates


def _fate(plan: Plan) -> Fate:
    return Fate(frozenset({plan.state}), plan.executions, 2 if plan is Plan.RETRY else 1)


_DOOMED = Fate(frozenset({"cancelled"}), 0, 0)


@dataclass(frozen=True)
class Expected:
    """An inserted workflow. `cancelled`: somebody cancelled it, at a moment that nobody knows."""

    workflow_id: UUID
    graph: Graph
    cancelled: bool = False

    def fates(self) -> dict[str, Fate]:
        fates = self.graph.fates()
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
