"""The graph of a workflow: is it one, in which order may its steps run, who waits for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from baton.core.near_names import did_you_mean
from baton.words.graph_errors import (
    CycleError,
    DuplicateStepError,
    EmptyWorkflowError,
    GraphError,
    SelfDependencyError,
    UnknownDependencyError,
)


class GraphStep(Protocol):
    """A step as the graph sees it."""

    @property
    def name(self) -> str: ...

    @property
    def deps(self) -> Sequence[str]: ...


def topological_order(steps: Sequence[GraphStep]) -> tuple[str, ...]:
    """The names in an order in which every step comes after its dependencies.

    Steps free at the same time keep the order given; a dependency named twice counts once. Raises
    EmptyWorkflowError, DuplicateStepError, SelfDependencyError, UnknownDependencyError or
    CycleError, looked for in this order: which of them does not depend on the order of the steps.
    The path of a cycle runs from each step to one that depends on it, and ends where it began.
    """
    if not steps:
        raise EmptyWorkflowError
    index = {step.name: position for position, step in enumerate(steps)}
    if len(index) < len(steps):
        raise DuplicateStepError(_first_duplicate(steps))
    try:
        below = _dependents(steps, index)
    except KeyError:
        raise _wrong_dependency(steps, index) from None
    waiting = [len(deps) if len(deps) < 2 else len(set(deps)) for deps in (s.deps for s in steps)]
    order = [position for position, count in enumerate(waiting) if count == 0]
    for position in order:
        for dependent in below[position]:
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                order.append(dependent)
    if len(order) < len(steps):
        stuck = [step for step, count in zip(steps, waiting, strict=True) if count]
        raise _self_dependency(stuck) or CycleError(_cycle(stuck))
    return tuple(steps[position].name for position in order)


def _dependents(steps: Sequence[GraphStep], index: dict[str, int]) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in steps]
    for position, step in enumerate(steps):
        deps = step.deps
        for name in deps if len(deps) < 2 else dict.fromkeys(deps):
            below[index[name]].append(position)
    return below


def _first_duplicate(steps: Sequence[GraphStep]) -> str:
    counts = Counter(step.name for step in steps)
    return next(name for name, count in counts.items() if count > 1)


def _self_dependency(steps: Sequence[GraphStep]) -> GraphError | None:
    return next((SelfDependencyError(step.name) for step in steps if step.name in step.deps), None)


def _wrong_dependency(steps: Sequence[GraphStep], index: dict[str, int]) -> GraphError:
    step, name = next((s.name, dep) for s in steps for dep in s.deps if dep not in index)
    return _self_dependency(steps) or UnknownDependencyError(
        step, name, index, did_you_mean(name, index)
    )


def _cycle(stuck: Sequence[GraphStep]) -> list[str]:
    # Every stuck step has a stuck dependency, so walking from one to the next must meet itself.
    # The least name is chosen at each turn: the same graph gives the same path in any order.
    names = {step.name for step in stuck}
    above = {step.name: min(names.intersection(step.deps)) for step in stuck}
    seen: dict[str, int] = {}
    at = min(names)
    while at not in seen:
        seen[at] = len(seen)
        at = above[at]
    path = list(seen)[seen[at] :][::-1]
    first = path.index(min(path))
    return [*path[first:], *path[: first + 1]]
