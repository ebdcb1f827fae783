"""Reads of what workflows used and captured, through the engine that is given or ambient."""

from __future__ import annotations

from uuid import UUID

from baton.core.checks import check_page_limit, parse_workflow_id
from baton.core.names import validate_step_name
from baton.reading.paging import parse_place, place_text
from baton.store.ambient import EngineOrName, opened
from baton.store.completions import find_missing_workflows
from baton.store.statistics import read_captures, read_usage
from baton.words.errors import UnknownWorkflowError
from baton.words.paging import Page
from baton.words.rows import Capture, WorkflowUsage

_MOST = 10_000


async def workflow_usage(
    workflow_id: UUID | str, *, engine: EngineOrName | None = None
) -> WorkflowUsage:
    """What a workflow used of models so far, in all and per model, exact: whole tokens, cost as
    Decimal in USD.

    Every record of every attempt counts: failed attempts, attempts whose outcome was dropped and
    attempts repeated after a crash used their tokens too. Zeros where nothing was recorded. Raises
    UnknownWorkflowError, NoEngineError, InvalidOptionError.
    """
    database = opened("workflow_usage", engine).database
    given = parse_workflow_id(workflow_id)
    usage = await read_usage(database, given)
    if not usage.records and await find_missing_workflows(database, [given]):
        raise UnknownWorkflowError(given)
    return usage


async def workflow_captures(
    workflow_id: UUID | str,
    *,
    step: str | None = None,
    after: str | None = None,
    limit: int = 100,
    engine: EngineOrName | None = None,
) -> Page[Capture]:
    """The debug log of a workflow, or of one of its steps, in the order written, all attempts.

    A page has up to `limit` entries (1 to 10,000); `after` is the `next` of the page before. Empty
    for a workflow that captured nothing or is unknown. Raises InvalidOptionError, InvalidNameError,
    NoEngineError.
    """
    instance = opened("workflow_captures", engine)
    check_page_limit(limit, _MOST)
    if step is not None:
        step = validate_step_name(step)
    given = parse_workflow_id(workflow_id)
    place = None if after is None else parse_place(after)
    found = await read_captures(instance.database, given, step, place, limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    next = None if last is None else place_text(last.recorded_at, last.id)
    return Page(tuple(found[:limit]), next)
