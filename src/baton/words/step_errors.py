"""What is raised inside a step, or by reading its result."""

from __future__ import annotations

from collections.abc import Iterable

from baton.words.base_error import BatonError


class StepError(BatonError):
    """A step asked for something it may not have."""


class UndeclaredDependencyError(StepError):
    step: str
    dependency: str
    declared: tuple[str, ...]

    def __init__(self, step: str, dependency: str, declared: Iterable[str], hint: str = "") -> None:
        declared = tuple(declared)
        shown = ", ".join(map(repr, declared[:10])) + (", …" if len(declared) > 10 else "")
        super().__init__(
            f"step {step!r} reads the result of {dependency!r}, which is not among its "
            f"dependencies ({shown or 'none'}){f'{hint} Or' if hint else ';'} declare it: "
            f".add({step!r}, …, deps=[{dependency!r}])",
            step=step,
            dependency=dependency,
            declared=declared,
        )


class NoResultError(StepError):
    step: str | None
    dependency: str
    state: str | None

    def __init__(self, step: str | None, dependency: str, state: str | None) -> None:
        if step is None and state is None:
            text = f"step {dependency!r} has not settled yet: await completion() first"
        else:
            reads = "" if step is None else f"step {step!r} reads the result of {dependency!r}: "
            says = "was skipped" if state == "skipped" else "has no stored result"
            text = f"{reads}step {dependency!r} {says} (settled state: {state})"
        super().__init__(
            text,
            step=step,
            dependency=dependency,
            state=state,
        )


class ResultTypeError(StepError):
    step: str | None
    dependency: str
    expected: object
    problems: tuple[str, ...]

    def __init__(
        self, step: str | None, dependency: str, expected: object, problems: Iterable[str]
    ) -> None:
        problems = tuple(problems)
        reader = "" if step is None else f", read by step {step!r},"
        super().__init__(
            f"the result of {dependency!r}{reader} is not a "
            f"{getattr(expected, '__name__', expected)}: {'; '.join(problems)}",
            step=step,
            dependency=dependency,
            expected=expected,
            problems=problems,
        )


class StepTimeoutError(StepError, TimeoutError):
    step: str | None
    timeout: float

    def __init__(self, step: str | None, timeout: float) -> None:
        super().__init__(
            f"step {step!r} took longer than its timeout of {timeout} s", step=step, timeout=timeout
        )


class StepTransactionError(StepError):
    step: str | None
    problem: str

    def __init__(self, step: str | None, problem: str) -> None:
        super().__init__(f"the transaction of step {step!r} {problem}", step=step, problem=problem)
