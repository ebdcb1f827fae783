"""Workflows whose steps have planned ends, and what each step has to come to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

from baton import Baton
from two_engines.workers import Addition, Awaited, Plan, Planned

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
    has a place in `gates` is a gate instead; `waits` are those inside of steps, in their order. Of
    the dependencies in `any_of` a step that is no gate needs one; `conditions` name an option and
    the dependency that it is about.
    """

    deps: Mapping[str, tuple[str, ...]]
    plans: Mapping[str, Plan]
    ignore_cancelled: frozenset[str] = frozenset()
    ignore_discarded: frozenset[str] = frozenset()
    gates: Mapping[str, Awaited] = field(default_factory=dict[str, Awaited])
    waits: Mapping[str, tuple[Awaited, ...]] = field(default_factory=dict[str, tuple[Awaited, ...]])
    any_of: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    conditions: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    writes: frozenset[str] = frozenset()
    """Steps that leave a row in their own transactions."""
    grows: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Steps that are not inserted, but added by one that runs, whose name they stand under."""

    def workflow(
        self, seconds: float = 0.0, max_attempts: int = 3, deadline: float | None = None
    ) -> Baton:
        """The workflow to insert; each of its steps works for `seconds`."""
        workflow = Baton(deadline=deadline)
        grown = {name for names in self.grows.values() for name in names}
        for name, plan in self.plans.items():
            if name in grown:
                continue
            if gate := self.gates.get(name):
                workflow.wait(
                    name,
                    at_least=(gate.need, gate.names),
                    on_timeout=gate.on_timeout,
                    deps=self.deps[name],
                    timeout=gate.timeout,
                    correlation_key=gate.key,
                    **self._rules(name),
                )
                continue
            any_of = self.alternatives(name)
            workflow.add(
                name,
                Planned(
                    plan=plan,
                    seconds=seconds,
                    waits=self.waits.get(name, ()),
                    writes=name in self.writes,
                    adds=self._added_by(name, seconds, grown),
                ),
                deps=[dep for dep in self.deps[name] if dep not in (*any_of, *grown)],
                any_of=any_of or None,
                **self._rules(name),
                max_attempts=1 if plan is Plan.EXHAUST else max_attempts,
            )
        return workflow

    def _added_by(self, grower: str, seconds: float, grown: set[str]) -> tuple[Addition, ...]:
        return tuple(
            Addition(
                name,
                self.plans[name],
                seconds,
                deps=self.deps[name],
                before=tuple(n for n, deps in self.deps.items() if name in deps and n not in grown),
                rules=self._rules(name),
                adds=self._added_by(name, seconds, grown),
            )
            for name in self.grows.get(grower, ())
        )

    def _rules(self, name: str) -> dict[str, Any]:
        option, about = self.conditions.get(name, ("", ""))
        if option == "on_failure":
            return {option: True}
        return {
            "ignore_cancelled": name in self.ignore_cancelled,
            "ignore_discarded": name in self.ignore_discarded,
            # Every result is an object, and contains an empty one.
            **({option: {about: {}}} if option else {}),
        }

    def alternatives(self, name: str) -> list[str]:
        """The dependencies of which one is enough, in their order."""
        some = () if name in self.gates else self.any_of.get(name, ())
        return [dep for dep in self.deps[name] if dep in some]

    def awaited(self, step: str) -> dict[str, Awaited]:
        """What a step waits for, by the keys of its waits."""
        if gate := self.gates.get(step):
            return {"": gate}
        return {f"#{number}": one for number, one in enumerate(self.waits.get(step, ()), 1)}

    def fates(self) -> dict[str, Fate]:
        """What becomes of each step of a workflow that nobody cancels."""
        fates: dict[str, Fate] = {}
        for name, plan in self.plans.items():
            any_of = self.alternatives(name)
            states = {dep: next(iter(fates[dep].states)) for dep in self.deps[name]}
            above = [self._means(name, s) for dep, s in states.items() if dep not in any_of]
            if any_of:
                means = {self._means(name, states[dep]) for dep in any_of}
                above.append(next(m for m in ("satisfies", "skipped", "dooms") if m in means))
            if "dooms" in above:
                fates[name] = _DOOMED
            elif (above and set(above) == {"skipped"}) or not self._is_met(name, states):
                fates[name] = _UNNEEDED
            else:
                fates[name] = self._fate(name, plan)
        return fates

    def _means(self, name: str, state: str) -> str:
        """What a dependency that settled so means for a step."""
        forgives = self.conditions.get(name, ("", ""))[0] == "on_failure"
        if state == "cancelled" and not (forgives or name in self.ignore_cancelled):
            return "dooms"
        if state == "discarded" and not (forgives or name in self.ignore_discarded):
            return "dooms"
        return "skipped" if state == "skipped" else "satisfies"

    def _is_met(self, name: str, states: Mapping[str, str]) -> bool:
        option, about = self.conditions.get(name, ("", ""))
        match option:
            case "when":
                return states[about] == "completed"
            case "unless":
                return states[about] != "completed"
            case "on_failure":
                return not {"cancelled", "discarded"}.isdisjoint(states.values())
            case _:
                return True

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
    return rules(chance, Graph(deps, *chances(chance, names)))


def rules(chance: random.Random, graph: Graph) -> Graph:
    """The same, and some steps need only one of several dependencies, or have a condition."""
    any_of: dict[str, frozenset[str]] = {}
    conditions: dict[str, tuple[str, str]] = {}
    for name, deps in graph.deps.items():
        drawn = chance.random()
        if len(deps) > 1 and drawn < 0.2:
            any_of[name] = frozenset(chance.sample(deps, chance.randint(2, len(deps))))
        # Of a condition on an alternative nobody knows whether that has settled.
        needed = [dep for dep in deps if dep not in any_of.get(name, ())]
        if needed and chance.random() < 0.2:
            option = chance.choice(("when", "when", "unless", "on_failure"))
            if option != "on_failure" or name not in any_of:
                conditions[name] = option, chance.choice(needed)
    return replace(graph, any_of=any_of, conditions=conditions)


def chances(
    chance: random.Random, names: list[str]
) -> tuple[dict[str, Plan], frozenset[str], frozenset[str]]:
    """Plans of steps, and those of them that forgive what was cancelled, and what was discarded."""
    return (
        {name: chance.choice(PLANS) for name in names},
        frozenset(name for name in names if chance.random() < 0.3),
        frozenset(name for name in names if chance.random() < 0.3),
    )
