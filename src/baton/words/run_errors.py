"""What refuses to begin a workflow, or a part of it, anew; what stops an operation on many."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from baton.words.base_error import BatonError


class RetryError(BatonError):
    """A retry, or a fork, that cannot be carried out; nothing was changed."""

    workflow_id: UUID


class NothingToRetryError(RetryError):
    mode: str

    def __init__(self, workflow_id: UUID, mode: str) -> None:
        super().__init__(
            f"no step of workflow {workflow_id} has failed, so mode={mode!r} retries nothing:"
            " name them (steps=['a']), or give mode='all'",
            workflow_id=workflow_id,
            mode=mode,
        )


class StepRunningError(RetryError):
    steps: tuple[str, ...]

    def __init__(self, workflow_id: UUID, steps: Sequence[str]) -> None:
        names = ", ".join(map(repr, steps))
        super().__init__(
            f"steps of workflow {workflow_id} are running: {names}; wait until they have ended, or"
            " give interrupt=True, which drops what they come to",
            workflow_id=workflow_id,
            steps=tuple(steps),
        )


class FailedDependencyError(RetryError):
    step: str
    dependency: str
    state: str

    def __init__(self, workflow_id: UUID, step: str, dependency: str, state: str) -> None:
        super().__init__(
            f"step {step!r} of workflow {workflow_id} depends on {dependency!r}, which was {state}"
            f" and is not retried, so it would settle as before: name {dependency!r} too, or give"
            " mode='failed'",
            workflow_id=workflow_id,
            step=step,
            dependency=dependency,
            state=state,
        )


class GrownDependencyError(RetryError):
    """A step that came later depends on one that the retry would take back."""

    step: str
    dependency: str

    def __init__(self, workflow_id: UUID, step: str, dependency: str) -> None:
        super().__init__(
            f"step {dependency!r} of workflow {workflow_id} would be taken back, because the step"
            f" that added it is performed anew, and step {step!r} was added later and depends on"
            " it: name the steps to retry, without the one that adds others",
            workflow_id=workflow_id,
            step=step,
            dependency=dependency,
        )


class DeletedJobError(RetryError):
    steps: tuple[str, ...]

    def __init__(self, workflow_id: UUID, steps: Sequence[str]) -> None:
        names = ", ".join(map(repr, steps))
        super().__init__(
            f"the jobs of these steps of workflow {workflow_id} were deleted, and no copy was kept:"
            f" {names} (TRUNCATE, or no trigger baton_keep_deleted_jobs on oban_jobs); insert a new"
            " workflow instead",
            workflow_id=workflow_id,
            steps=tuple(steps),
        )


class ForkUnsettledError(RetryError):
    steps: tuple[str, ...]

    def __init__(self, workflow_id: UUID, steps: Sequence[str]) -> None:
        names = ", ".join(map(repr, steps))
        super().__init__(
            f"a fork of workflow {workflow_id} would take over steps that have not settled:"
            f" {names}; name them in from_steps too, or wait until they have ended",
            workflow_id=workflow_id,
            steps=tuple(steps),
        )


class BulkError(BatonError):
    """An operation on many workflows."""

    bulk_id: UUID


class UnknownBulkError(BulkError):
    def __init__(self, bulk_id: UUID) -> None:
        super().__init__(f"there is no bulk operation {bulk_id}", bulk_id=bulk_id)


class BulkStoppedError(BulkError):
    error: str

    def __init__(self, bulk_id: UUID, error: str) -> None:
        super().__init__(
            f"bulk operation {bulk_id} has stopped on its way: {error}; what it has done stays"
            f" done, and engine.resume_bulk({str(bulk_id)!r}), or `baton resume-bulk {bulk_id}`,"
            " does the rest",
            bulk_id=bulk_id,
            error=error,
        )
