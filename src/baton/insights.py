"""Read-only questions about workflows, steps, queues and engines, for every edge."""

from baton.reading.insights import Insights
from baton.words.actions import Action
from baton.words.bulk import Bulk, BulkFailure, BulkState
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
from baton.words.runs import StepHistory

__all__ = [
    "Action",
    "Bulk",
    "BulkFailure",
    "BulkState",
    "EngineRow",
    "Insights",
    "Page",
    "QueueRow",
    "Reason",
    "StepCounts",
    "StepHistory",
    "StepRow",
    "WaitsFor",
    "Why",
    "WorkflowDetail",
    "WorkflowRow",
    "WorkflowState",
]
