"""Which event tells of which settled outcome."""

from __future__ import annotations

from baton.runtime.executor import Execution
from baton.runtime.ledger_protocol import Reply
from baton.words.events import (
    StepCancelled,
    StepCompleted,
    StepDiscarded,
    StepFenced,
    StepInterrupted,
    StepReleased,
    StepRetryable,
    StepSettled,
    StepSkipped,
    StepSnoozed,
    StepSuspended,
)
from baton.words.states import JobState

_KINDS: dict[JobState, type[StepSettled]] = {
    JobState.COMPLETED: StepCompleted,
    JobState.RETRYABLE: StepRetryable,
    JobState.DISCARDED: StepDiscarded,
    JobState.CANCELLED: StepCancelled,
    JobState.SCHEDULED: StepSnoozed,
    JobState.AVAILABLE: StepReleased,
    JobState.SUSPENDED: StepReleased,
}


def settled_event(execution: Execution, reply: Reply) -> StepSettled:
    """The event of one settled execution; a stale one is fenced, whatever its outcome was, or was
    interrupted, if its job was cancelled while it ran.
    """
    outcome, claim = execution.outcome, (execution.job.id, execution.job.attempted_at)
    if outcome is None:
        raise ValueError("an execution is settled with its outcome")
    cancelled, stale = claim in reply.cancelled, claim in reply.stale
    kind = StepInterrupted if cancelled else StepFenced if stale else _KINDS[outcome.state]
    if kind is StepReleased and outcome.wait is not None:
        kind = StepSuspended
    if kind is StepCancelled and outcome.skipped:
        kind = StepSkipped
    return kind(
        **execution.step_facts(),
        state=JobState.CANCELLED if cancelled else outcome.state,
        duration=execution.duration,
        has_result=outcome.result is not None,
        error=outcome.error,
    )
