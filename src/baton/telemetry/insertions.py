"""Tells of workflows that were inserted, and of those that got more steps."""

from __future__ import annotations

from collections.abc import Iterable

from baton.telemetry import seam
from baton.words.effects import Grown
from baton.words.events import WorkflowGrown, WorkflowInserted
from baton.words.rows import NewWorkflow


def emit_inserted(engine: str | None, workflows: Iterable[NewWorkflow]) -> None:
    """Emit the events of workflows that this engine, or this process without one, has written."""
    if not seam.active:
        return
    for workflow in workflows:
        seam.emit(
            WorkflowInserted(
                engine, workflow.workflow_id, workflow.workflow_name, len(workflow.steps)
            )
        )


def emit_grown(engine: str | None, workflows: Iterable[Grown]) -> None:
    """Emit the events of steps that this engine has added."""
    if seam.active:
        for grown in workflows:
            seam.emit(WorkflowGrown(engine, *grown))
