"""Reads of what workflows used and captured, through the engine that is given or ambient."""

from __future__ import annotations

from uuid import UUID

from baton.core.names import validate_step_name
from baton.store.completions import find_missing_workflows
from baton.store.statistics import read_captures, read_usage
from baton.words.errors import UnknownWorkflowError
from baton.words.rows import Capture, WorkflowUsage
from baton.workflow.ambient import Instance, current
from baton.workflow.options import check_page_limit, parse_workflow_id

_MOST = 10_000


async def workflow_usage(
    workflow_id: UUID | str, engine: Instance | str | None = None
) -> WorkflowUsage:
    """What a workflow used of models so far, in all and per model, exact: whole tokens, cost as
    Decimal in USD.

    Every record of every attempt counts: failed attempts, attempts whose outcome was dropped and
    attempts repeated after a crash used their tokens too. Zeros where nothing was recorded. Raises
    UnknownWorkflowError, NoEngineError, InvalidOptionError.
    """
    given = parse_workflow_id(workflow_id)
    database = current(engine).database
    usage = await read_usage(database, given)
    if not usage.records and await find_missing_workflows(database, [given]):
        raise UnknownWorkflowError(given)
    return usage


async def workflow_captures(
    workflow_id: UUID | str,
    *,
    step: str | None = None,
    after: Capture | None = None,
    limit: int = 100,
    engine: Instance | str | None = None,
) -> list[Capture]:
    """The debug log of a workflow, or of one of its steps, in the order written, all attempts.

    At most `limit` entries, of those after `after`, the last of a former call. Empty for a workflow
    that captured nothing or is unknown. Raises InvalidOptionError, InvalidNameError, NoEngineError.
    """
    check_page_limit(limit, _MOST)
    if step is not None:
        step = validate_step_name(step)
    given = parse_workflow_id(workflow_id)
    return await read_captures(current(engine).database, given, step, after, limit)
