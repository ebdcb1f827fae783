"""What a workflow raises that is there already, is not there, or has not ended in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from baton.words.base_error import BatonError
from baton.words.rows import UnsettledStep
from baton.words.states import StepState


class WorkflowExistsError(BatonError):
    workflow_id: UUID

    def __init__(self, workflow_id: UUID) -> None:
        super().__init__(f"workflow {workflow_id} was inserted already", workflow_id=workflow_id)


class WorkflowInsertedError(BatonError):
    workflow_id: UUID
    step: str

    def __init__(self, workflow_id: UUID, step: str) -> None:
        super().__init__(
            f"step {step!r} is too late: workflow {workflow_id} is inserted; build a new one",
            workflow_id=workflow_id,
            step=step,
        )


class WorkflowFinishedError(BatonError):
    workflow_id: UUID

    def __init__(self, workflow_id: UUID, so: str = "no event can reach it") -> None:
        super().__init__(f"workflow {workflow_id} has finished: {so}", workflow_id=workflow_id)


class UnknownWorkflowError(BatonError):
    workflow_id: UUID
    pruned: bool

    def __init__(self, workflow_id: UUID, *, pruned: bool = False) -> None:
        text = f"there is no workflow {workflow_id}"
        if pruned:
            text += " any more: it was there when this call began to wait, and its rows were pruned"
        else:
            text += (
                ": was 'await workflow.insert()' forgotten, its transaction not committed, or the "
                "workflow pruned?"
            )
        super().__init__(text, workflow_id=workflow_id, pruned=pruned)


class UnknownRunError(BatonError):
    workflow_id: UUID
    run: int
    latest: int

    def __init__(self, workflow_id: UUID, run: int, latest: int) -> None:
        super().__init__(
            f"workflow {workflow_id} has no run {run}: its latest run is {latest}; leave `run` out"
            " to wait for that one",
            workflow_id=workflow_id,
            run=run,
            latest=latest,
        )


class UnknownStepError(BatonError):
    workflow_id: UUID
    step: str

    def __init__(self, workflow_id: UUID, step: str, hint: str = "") -> None:
        super().__init__(
            f"workflow {workflow_id} has no step named {step!r}{hint}",
            workflow_id=workflow_id,
            step=step,
        )


class StepSettledError(BatonError):
    workflow_id: UUID
    step: str
    state: StepState

    def __init__(self, workflow_id: UUID, step: str, state: StepState) -> None:
        super().__init__(
            f"step {step!r} of workflow {workflow_id} has settled as {state} and stays so; to have"
            f" it performed again, with all that comes after it: retry(steps=[{step!r}])",
            workflow_id=workflow_id,
            step=step,
            state=state,
        )


class CompletionTimeoutError(BatonError, TimeoutError):
    workflow_id: UUID
    timeout: float
    unsettled: int | None = None  # as the rest, when the database did not tell in time
    steps: tuple[UnsettledStep, ...] = ()
    queues: tuple[str, ...] = ()
    paused_at: datetime | None = None

    def __init__(self, workflow_id: UUID, timeout: float, why: str = "", **facts: Any) -> None:
        super().__init__(
            f"workflow {workflow_id} did not finish within {timeout} s; it goes on{why}",
            workflow_id=workflow_id,
            timeout=timeout,
            **facts,
        )


class NoInputError(BatonError):
    workflow_id: UUID | None

    def __init__(self, workflow_id: UUID | None) -> None:
        which = "a job outside workflows" if workflow_id is None else f"workflow {workflow_id}"
        super().__init__(
            f"{which} has no input: one is given as Baton(input=…)", workflow_id=workflow_id
        )


class NoOutputError(BatonError):
    workflow_id: UUID

    def __init__(self, workflow_id: UUID) -> None:
        super().__init__(
            f"workflow {workflow_id} has no declared output: one is declared as Baton(output='a') "
            "or flow.output = step; the result of any step is handle.result('a')",
            workflow_id=workflow_id,
        )


class InputTypeError(BatonError):
    expected: object
    problems: tuple[str, ...]

    def __init__(self, expected: object, problems: Iterable[str]) -> None:
        problems = tuple(problems)
        super().__init__(
            f"the input of the workflow is not a {getattr(expected, '__name__', expected)}: "
            f"{'; '.join(problems)}",
            expected=expected,
            problems=problems,
        )
