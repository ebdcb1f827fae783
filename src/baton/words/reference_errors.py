"""What references to results and to the input raise: when the graph is built, and when a step is
performed.
"""

from __future__ import annotations

from baton.words.graph_errors import GraphError
from baton.words.step_errors import StepError


class ForeignReferenceError(GraphError):
    """A reference belongs to another builder than the step that it was given to."""

    reference: str

    def __init__(self, reference: str, where: str, instead: str) -> None:
        super().__init__(
            f"{reference}, given to {where}, is of another workflow: {instead}",
            reference=reference,
        )


class UnknownFieldError(GraphError, AttributeError):
    """What a reference points at has no such part."""

    reference: str
    part: str

    def __init__(self, reference: str, part: str, problem: str) -> None:
        super().__init__(f"{reference}: {problem}", reference=reference, part=part)


class ReferenceTypeError(GraphError):
    """What a reference points at can never be what the argument takes."""

    worker: str
    argument: str
    reference: str

    def __init__(self, worker: str, argument: str, reference: str, given: str, taken: str) -> None:
        super().__init__(
            f"the argument {argument!r} of worker {worker!r} takes {taken}, but {reference} is "
            f"{given}",
            worker=worker,
            argument=argument,
            reference=reference,
        )


class ReferenceUseError(GraphError, TypeError):
    """A reference was used as the value that it will have when its step is performed."""

    reference: str

    def __init__(self, reference: str, use: str) -> None:
        super().__init__(
            f"{reference} has no value while the workflow is built, so it cannot be {use}: give it "
            "to a step as an argument, and let that step work with the value",
            reference=reference,
        )


class UnresolvedReferenceError(StepError):
    """A reference in the stored arguments of a step has no value: `dependency` is the step whose
    result was meant, None for the workflow's input, and `path` the JSON pointer into it.
    """

    step: str | None
    dependency: str | None
    path: str
    problem: str

    def __init__(self, step: str | None, dependency: str | None, path: str, problem: str) -> None:
        of = "the workflow's input" if dependency is None else f"the result of {dependency!r}"
        at = f" at {path!r}" if path else ""
        super().__init__(
            f"step {step!r} takes {of}{at} as an argument: {problem}",
            step=step,
            dependency=dependency,
            path=path,
            problem=problem,
        )
