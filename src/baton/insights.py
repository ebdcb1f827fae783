"""Read-only questions about workflows, steps, queues and engines, for every edge."""

from baton.words.insights import (
    EngineRow,
    QueueRow,
    Reason,
    StepCounts,
    StepRow,
    WaitsFor,
    Why,
    WorkflowDetail,
    WorkflowRow,
    WorkflowState,
)
from baton.words.paging import Page
from baton.workflow.insights import Insights

__all__ = [
    "EngineRow",
    "Insights",
    "Page",
    "QueueRow",
    "Reason",
    "StepCounts",
    "StepRow",
    "WaitsFor",
    "Why",
    "WorkflowDetail",
    "WorkflowRow",
    "WorkflowState",
]
