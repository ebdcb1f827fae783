"""What a graph raises that cannot be a workflow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from baton.words.base_error import BatonError


class GraphError(BatonError):
    """The graph given by the caller cannot be a workflow; nothing was written."""


class EmptyWorkflowError(GraphError):
    def __init__(self) -> None:
        super().__init__(
            "the workflow has no steps; add at least one: Baton().add('a', MyWorker()).insert()"
        )


class DuplicateStepError(GraphError):
    step: str

    def __init__(self, step: str) -> None:
        super().__init__(f"a step named {step!r} was added already; names are unique", step=step)


class UnknownDependencyError(GraphError):
    step: str
    dependency: str
    known: tuple[str, ...]

    def __init__(self, step: str, dependency: str, known: Iterable[str], hint: str = "") -> None:
        known = tuple(known)
        super().__init__(
            f"step {step!r} depends on {dependency!r}, which is not a step of this workflow "
            f"(steps: {_listed(known)}){hint}",
            step=step,
            dependency=dependency,
            known=known,
        )


class StepNotAddedError(GraphError):
    step: str
    known: tuple[str, ...]

    def __init__(self, step: str, known: Iterable[str], hint: str = "") -> None:
        known = tuple(known)
        super().__init__(
            f"no step named {step!r} was added to this workflow (steps: {_listed(known)}){hint}",
            step=step,
            known=known,
        )


class UnknownOutputError(GraphError):
    output: str
    known: tuple[str, ...]

    def __init__(self, output: str, known: Iterable[str]) -> None:
        known = tuple(known)
        super().__init__(
            f"the output {output!r} is not a step of this workflow (steps: {_listed(known)})",
            output=output,
            known=known,
        )


class SelfDependencyError(GraphError):
    step: str

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step!r} depends on itself", step=step)


class BeforeError(GraphError):
    """A new step cannot come before `target`: it is not there, or waits for no step any more."""

    step: str
    target: str

    def __init__(self, step: str, target: str, problem: str) -> None:
        super().__init__(
            f"step {step!r} cannot come before {target!r}, {problem}", step=step, target=target
        )


class CycleError(GraphError):
    path: tuple[str, ...]

    def __init__(self, path: Sequence[str]) -> None:
        path = tuple(path)
        shown = path if len(path) <= 12 else (*path[:6], "…", *path[-5:])
        super().__init__(f"the steps form a cycle: {' -> '.join(map(repr, shown))}", path=path)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:10]) + (", …" if len(names) > 10 else "")
