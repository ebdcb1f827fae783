"""What workflows used of models, and what their steps captured for debugging: the records that
`engine.workflow(workflow_id).usage()` and `.captures()` return.
"""

from __future__ import annotations

from baton.words.rows import Capture, ModelUsage, Usage, WorkflowUsage

__all__ = [
    "Capture",
    "ModelUsage",
    "Usage",
    "WorkflowUsage",
]
