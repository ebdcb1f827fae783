"""What workflows used of models, and what their steps captured for debugging."""

from __future__ import annotations

from baton.reading.statistics import workflow_captures, workflow_usage
from baton.words.rows import Capture, ModelUsage, Usage, WorkflowUsage

__all__ = [
    "Capture",
    "ModelUsage",
    "Usage",
    "WorkflowUsage",
    "workflow_captures",
    "workflow_usage",
]
