"""What workflows used of models, and what their steps captured for debugging."""

from __future__ import annotations

from baton.words.rows import Capture, ModelUsage, Usage, WorkflowUsage
from baton.workflow.statistics import workflow_captures, workflow_usage

__all__ = [
    "Capture",
    "ModelUsage",
    "Usage",
    "WorkflowUsage",
    "workflow_captures",
    "workflow_usage",
]
