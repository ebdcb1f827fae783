"""What a long run must have seen, or the machine has grown blind."""

from __future__ import annotations

from collections.abc import Iterable

from model.coverage import Transition

# Row, state before, state after: the rules that must have done it.
TRANSITIONS = """
jobs new available: insert_workflow prune_between
jobs new scheduled: insert_workflow
jobs new suspended: insert_workflow
jobs available executing: claim settle
jobs suspended executing: settle
jobs suspended available: cancel_step sweep
jobs suspended available: cancel_wait complete_step expire resume retry_by_hand send_event settle
jobs suspended scheduled: resume settle
jobs suspended completed: complete_step end_by_hand expire send_event send_key settle
jobs suspended cancelled: cancel_overdue cancel_step cancel_wait cancel_workflow check
jobs suspended cancelled: complete_step expire resume settle sweep
jobs suspended discarded: end_by_hand expire
jobs executing completed: check complete_step settle
jobs executing cancelled: cancel_overdue cancel_step cancel_workflow check settle
jobs executing discarded: check rescue settle
jobs executing available: rescue settle
jobs executing retryable: settle
jobs executing scheduled: settle
jobs executing suspended: settle
jobs retryable available: retry_by_hand stage
jobs scheduled available: retry_by_hand stage
jobs cancelled available: retry_by_hand sweep_and_retry
jobs discarded available: retry_by_hand
jobs completed available: retry_by_hand
jobs cancelled available: complete_step retry_workflow
jobs cancelled suspended: retry_workflow
jobs discarded available: retry_workflow
jobs completed available: retry_workflow
jobs completed suspended: retry_workflow
jobs executing available: retry_workflow
jobs new available: fork retry_workflow
jobs new suspended: fork retry_workflow
jobs available gone: delete_by_hand
jobs executing gone: delete_by_hand
jobs suspended gone: delete_by_hand
jobs completed gone: prune_jobs
jobs cancelled gone: prune_jobs
jobs discarded gone: prune_jobs
jobs available suspended: pause
jobs scheduled suspended: pause
jobs retryable suspended: pause
jobs available completed: complete_step
jobs cancelled completed: complete_step
jobs discarded completed: complete_step
jobs available cancelled: cancel_step cancel_overdue cancel_workflow
nodes new unsettled: fork insert_workflow prune_between
nodes unsettled completed: check complete_step expire plugin send_event send_key settle sweep
nodes unsettled cancelled: cancel_overdue cancel_step cancel_wait cancel_workflow check
nodes unsettled cancelled: expire plugin settle sweep
nodes unsettled discarded: check expire plugin rescue settle sweep
nodes unsettled skipped: check complete_step expire plugin resume settle sweep
nodes skipped unsettled: retry_workflow
nodes skipped gone: prune
nodes cancelled unsettled: complete_step retry_workflow
nodes discarded unsettled: retry_workflow
nodes completed unsettled: retry_workflow
nodes completed gone: prune prune_by_parts
nodes cancelled gone: prune prune_by_parts
nodes discarded gone: prune
nodes new completed: fork
nodes new cancelled: fork
nodes new discarded: fork
nodes new skipped: fork
nodes cancelled completed: complete_step
nodes discarded completed: complete_step
groups new dormant: fork insert_workflow
groups new pending: fork insert_workflow settle
groups dormant pending: complete_step resume send_event settle
groups dormant completed: settle
groups dormant timeout: settle
groups dormant cancelled: cancel_wait cancel_workflow check complete_step settle
groups pending completed: expire send_event send_key
groups pending timeout: expire
groups pending cancelled: cancel_overdue cancel_step cancel_wait cancel_workflow complete_step sweep
groups cancelled dormant: retry_workflow
groups cancelled pending: retry_workflow
groups completed dormant: retry_workflow
groups completed pending: retry_workflow
groups pending dormant: retry_workflow
groups completed gone: retry_workflow
groups cancelled gone: prune
groups new completed: fork
groups new cancelled: fork
events new kept: send_event send_key
events new taken: send_event
events new given: send_key
events new open: send_key
events kept taken: expire settle
events open kept: expire
events open given: expire
events taken dropped: retry_workflow
events kept gone: prune
workflows new open: fork insert_workflow
workflows open finished: cancel_overdue cancel_step cancel_wait cancel_workflow check complete_step
workflows open finished: expire resume send_event settle sweep
workflows finished open: complete_step retry_workflow
workflows finished gone: prune prune_by_parts
completions new announced: announce cancel_overdue cancel_step cancel_workflow check complete_step
completions new announced: expire resume send_event settle sweep
completions announced gone: forget_announcement prune
"""

MARKS = frozenset(
    {
        "gate: stored",
        "gate: settled as failed",
        "gate: hold",
        "gate: cancel",
        "gate: skip",
        "gate: settled as skipped",
        "claimed by a call whose reply was lost",
        "outcome too late",
        "discarded after the last attempt",
        "wait inside: completed",
        "wait inside: timeout",
        "wait inside: cancelled",
        "event: settled",
        "event: delivered",
        "event: buffered",
        "event: duplicate",
        "event: unknown",
        "event: finished",
        "retry: in the same run",
        "retry: in the next run",
        "retry: interrupted",
        "retry: unknown",
        "retry: nothing",
        "retry: doomed",
        "retry: args",
        "retry: running",
        "gate: paused",
        "pause: done",
        "pause: nothing",
        "pause: unknown",
        "pause: finished",
        "resume: done",
        "resume: nothing",
        "resume: unknown",
        "resume: finished",
        "cancel_step: done",
        "cancel_step: ended",
        "cancel_step: settled",
        "cancel_step: nothing",
        "complete_step: done",
        "complete_step: reopened",
        "complete_step: settled",
        "complete_step: nothing",
        "fork: done",
        "fork: unsettled",
        "fork: doomed",
        "fork: unknown",
        "condition: met",
        "condition: unmet",
        "condition: unmet, and the step runs",
        "alternatives: met",
        "alternatives: skipped",
        "alternatives: dooms",
    }
)
"""What no row shows."""


def transitions() -> Iterable[Transition]:
    """All that must be seen."""
    for line in TRANSITIONS.strip().splitlines():
        rows, rules = line.split(":")
        kind, was, now = rows.split()
        for rule in rules.split():
            yield kind, was, rule, now
