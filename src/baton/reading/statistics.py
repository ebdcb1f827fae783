"""Reads of what workflows used and captured."""

from __future__ import annotations

from uuid import UUID

from baton.core.checks import check_page_limit
from baton.core.names import validate_step_name
from baton.reading.paging import page, parse_place, place_text
from baton.store.completions import find_missing_workflows
from baton.store.statistics import read_captures, read_usage
from baton.store.store import Store
from baton.words.paging import Page
from baton.words.rows import Capture, WorkflowUsage
from baton.words.workflow_errors import UnknownWorkflowError

_MOST = 10_000


async def workflow_usage(database: Store, workflow_id: UUID) -> WorkflowUsage:
    """What a workflow used of models so far. Raises UnknownWorkflowError."""
    usage = await read_usage(database, workflow_id)
    if not usage.records and await find_missing_workflows(database, [workflow_id]):
        raise UnknownWorkflowError(workflow_id)
    return usage


async def workflow_captures(
    database: Store, workflow_id: UUID, *, step: str | None, after: str | None, limit: int
) -> Page[Capture]:
    """A page of the debug log of a workflow, or of one of its steps. Raises InvalidOptionError,
    InvalidNameError.
    """
    check_page_limit(limit, _MOST)
    if step is not None:
        step = validate_step_name(step)
    place = None if after is None else parse_place(after)
    found = await read_captures(database, workflow_id, step, place, limit + 1)
    return page(found, limit, lambda row: place_text(row.recorded_at, row.id))
