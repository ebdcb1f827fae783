"""Diamonds of mixed fate, and what each has to come to."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from baton import Baton
from two_engines.workers import Plan, Planned

DEPS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}

# Most steps succeed, so that failures happen in all places of the graph.
_PLANS = (
    [Plan.SUCCEED] * 12
    + [Plan.RETRY, Plan.SNOOZE] * 2
    + [
        Plan.DISCARD,
        Plan.CANCEL,
        Plan.EXHAUST,
    ]
)


class Fate(NamedTuple):
    """How a step has to settle, and how often it is performed if no engine dies."""

    state: str
    executions: int


@dataclass(frozen=True)
class Diamond:
    """a, then b and c, then d: the plan of each step and whom it forgives."""

    plans: dict[str, Plan]
    ignore_cancelled: frozenset[str]
    ignore_discarded: frozenset[str]

    def workflow(self, seconds: float = 0.0, max_attempts: int = 3) -> Baton:
        """The workflow to insert; each of its steps works for `seconds`."""
        workflow = Baton()
        for name, plan in self.plans.items():
            workflow.add(
                name,
                Planned(plan=plan, seconds=seconds),
                deps=DEPS[name],
                ignore_cancelled=name in self.ignore_cancelled,
                ignore_discarded=name in self.ignore_discarded,
                max_attempts=1 if plan is Plan.EXHAUST else max_attempts,
            )
        return workflow

    def fates(self) -> dict[str, Fate]:
        fates: dict[str, Fate] = {}
        for name, plan in self.plans.items():
            above = {fates[dep].state for dep in DEPS[name]}
            doomed = ("cancelled" in above and name not in self.ignore_cancelled) or (
                "discarded" in above and name not in self.ignore_discarded
            )
            fates[name] = Fate("cancelled", 0) if doomed else Fate(plan.state, plan.executions)
        return fates


@dataclass(frozen=True)
class Expected:
    """An inserted diamond."""

    workflow_id: UUID
    diamond: Diamond


SOUND = Diamond(dict.fromkeys(DEPS, Plan.SUCCEED), frozenset(), frozenset())


def diamond(chance: random.Random) -> Diamond:
    return Diamond(
        {name: chance.choice(_PLANS) for name in DEPS},
        frozenset(name for name in DEPS if chance.random() < 0.3),
        frozenset(name for name in DEPS if chance.random() < 0.3),
    )
