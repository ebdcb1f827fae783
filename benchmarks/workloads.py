"""What is run: graphs of numbered steps, the same for every system. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

FLAT_WORKFLOW_STEPS = 100
KINDS = {
    "D": "diamonds a→(b,c)→d, inserted first, then drained",
    "C": "one chain on an idle system",
    "F": "one fan 1→n→1",
    "J": "independent jobs, one workflow",
    "W": f"independent jobs, workflows of {FLAT_WORKFLOW_STEPS} steps",
}


@dataclass(frozen=True)
class Graph:
    """Steps 0..n-1; a step depends on earlier steps only."""

    dependencies: tuple[tuple[int, ...], ...]

    @cached_property
    def dependents(self) -> tuple[tuple[int, ...], ...]:
        found: list[list[int]] = [[] for _ in self.dependencies]
        for step, dependencies in enumerate(self.dependencies):
            for dependency in dependencies:
                found[dependency].append(step)
        return tuple(tuple(dependents) for dependents in found)

    @cached_property
    def roots(self) -> tuple[int, ...]:
        return tuple(step for step, deps in enumerate(self.dependencies) if not deps)

    @cached_property
    def joins(self) -> tuple[int, ...]:
        """Steps with several dependencies: the ones that need a counter."""
        return tuple(step for step, deps in enumerate(self.dependencies) if len(deps) > 1)

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Steps by their distance from the roots."""
        depth: list[int] = []
        for dependencies in self.dependencies:
            depth.append(1 + max((depth[d] for d in dependencies), default=-1))
        return tuple(
            tuple(step for step, own in enumerate(depth) if own == level)
            for level in range(max(depth) + 1)
        )


@dataclass(frozen=True)
class Workload:
    name: str
    kind: str
    workflows: int
    graph: Graph

    @property
    def steps(self) -> int:
        return self.workflows * len(self.graph.dependencies)

    @property
    def idle(self) -> bool:
        """The workers run and wait before anything is inserted."""
        return self.kind == "C"

    @property
    def flat(self) -> bool:
        return self.kind in "JW"


def workload(name: str) -> Workload:
    """`D1000` is 1,000 diamonds, `C200` a chain of 200, and so on; ValueError for anything else."""
    match = re.fullmatch(r"([A-Z])([1-9]\d*)", name)
    if match is None or match[1] not in KINDS:
        raise ValueError(f"no such workload: {name!r}; a letter of {', '.join(KINDS)} and a size")
    kind, size = match[1], int(match[2])
    if kind == "D":
        return Workload(name, kind, size, Graph(((), (0,), (0,), (1, 2))))
    if kind == "C":
        return Workload(name, kind, 1, Graph(((), *((step,) for step in range(size - 1)))))
    if kind == "F":
        middle = tuple(range(1, size + 1))
        return Workload(name, kind, 1, Graph(((), *((0,) for _ in middle), middle)))
    if kind == "J":
        return Workload(name, kind, 1, Graph(((),) * size))
    if size % FLAT_WORKFLOW_STEPS:
        raise ValueError(f"{name}: the size must be a multiple of {FLAT_WORKFLOW_STEPS}")
    return Workload(name, kind, size // FLAT_WORKFLOW_STEPS, Graph(((),) * FLAT_WORKFLOW_STEPS))
