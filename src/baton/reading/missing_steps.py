"""What to raise where a workflow has no step of a name: is it the workflow that is missing?"""

from __future__ import annotations

from uuid import UUID

from baton.core.near_names import MOST_COMPARED, did_you_mean
from baton.store.completions import find_missing_workflows
from baton.store.insights import read_step_names
from baton.store.store import Store
from baton.words.workflow_errors import UnknownStepError, UnknownWorkflowError


async def missing_step(
    database: Store, workflow_id: UUID, step: str
) -> UnknownStepError | UnknownWorkflowError:
    """The error for a step that was not found, with a name that is near."""
    if await find_missing_workflows(database, [workflow_id]):
        return UnknownWorkflowError(workflow_id)
    names = await read_step_names(database, workflow_id, MOST_COMPARED + 1)
    hint = did_you_mean(step, names) if names else " any more: its rows were pruned"
    return UnknownStepError(workflow_id, step, hint)
