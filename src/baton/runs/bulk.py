"""Walks through all workflows that match a filter, and has something done to each, once.

Idea: the operation is a row, which holds the batch of workflows under way and where the list goes
on behind it. A batch is written down before its first workflow is touched, so that after a crash
the same workflows are looked at again, whatever state they are in by then.

Invariant: an action of the operation carries its id, and is looked for under the workflow's lock
in the transaction that is to act. So each workflow is acted on at most once, whoever dies between
that commit and the next batch, and however many processes are at it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from baton.core.errortext import sanitize
from baton.reading.insights import Insights
from baton.runs.actions import Member, PassedByError, Told
from baton.store.bulk import Walk, advance_bulk, read_walk
from baton.store.database import database_of
from baton.store.faults import is_lock_timeout
from baton.store.store import Store
from baton.words.base_error import BatonError
from baton.words.bulk import Bulk, BulkFailure, BulkState
from baton.words.database_errors import MissingRightError, UnavailableError
from baton.words.engine_errors import EngineStateError, EventLoopError
from baton.words.run_errors import BulkStoppedError, NothingToRetryError, UnknownBulkError
from baton.words.schema_errors import SchemaMissingError
from baton.words.workflow_errors import UnknownWorkflowError, WorkflowFinishedError

BATCH = 100
"""Workflows that are written down, and acted on, between two updates of the operation."""
MOST_COUNTED = 1_000
"""Workflows looked at in one read while they are counted."""
MOST_FAILURES = 20
"""Failures that are kept with their error."""
ERROR_LIMIT = 500

Act = Callable[[UUID, Bulk, Told], Awaitable[None]]
Progress = Callable[[Bulk], None]

_NOTHING_TO_DO = (
    NothingToRetryError,
    PassedByError,
    UnknownWorkflowError,
    WorkflowFinishedError,
)
_STOPS = (UnavailableError, MissingRightError, SchemaMissingError, EngineStateError, EventLoopError)


async def count_matching(database: Store, chosen: dict[str, Any]) -> int:
    """How many workflows match a filter now. Raises InvalidOptionError, InvalidNameError."""
    insights, count, after = Insights(database_of(database)), 0, None
    while True:
        page = await insights.workflows(**chosen, after=after, limit=MOST_COUNTED)
        count += len(page)
        after = page.next
        if after is None:
            return count


async def walk(database: Store, bulk_id: UUID, act: Act, progress: Progress | None) -> Bulk:
    """Act on whatever is left, until the operation has finished.

    Raises UnknownBulkError; BulkStoppedError when the database is away, or refuses everything.
    """
    here = await read_walk(database, bulk_id)
    if here is None:
        raise UnknownBulkError(bulk_id)
    try:
        while True:
            if progress is not None:
                progress(here.bulk)
            if here.bulk.state is BulkState.FINISHED:
                return here.bulk
            await _advance(database, here, await _act_on_batch(here, act))
            here = await read_walk(database, bulk_id) or here
    except _STOPS as error:
        raise BulkStoppedError(bulk_id, str(error)) from error


async def _advance(database: Store, here: Walk, failures: list[BulkFailure]) -> None:
    batch, cursor = await _next_batch(database, here)
    kept = [*here.bulk.failures, *failures][:MOST_FAILURES]
    failed = [one.workflow_id for one in failures]
    await advance_bulk(database, here, batch, cursor, failed, kept)


async def _act_on_batch(here: Walk, act: Act) -> list[BulkFailure]:
    bulk = here.bulk
    told = Told(bulk.actor, bulk.reason, Member(bulk.bulk_id, bulk.filter["state"]))
    failures: list[BulkFailure] = []
    for workflow_id in here.batch:
        try:
            await act(workflow_id, bulk, told)
        except _NOTHING_TO_DO:
            continue
        except BatonError as error:
            if isinstance(error, _STOPS) and not is_lock_timeout(error):
                raise
            failures.append(BulkFailure(workflow_id, sanitize(str(error), ERROR_LIMIT)))
    return failures


async def _next_batch(database: Store, here: Walk) -> tuple[list[UUID], str | None]:
    """The workflows behind the batch, newest first, none that was inserted later than the operation
    began; and where the list goes on behind these.
    """
    after = here.cursor
    if here.position > 0 and after is None:
        return [], None
    chosen = read_filter(here.bulk.filter)
    began = here.bulk.started_at
    chosen["until"] = began if chosen["until"] is None else min(chosen["until"], began)
    while True:
        page = await Insights(database_of(database)).workflows(**chosen, after=after, limit=BATCH)
        if page.rows or page.next is None:
            return [row.workflow_id for row in page], page.next
        after = page.next


def read_filter(stored: Any) -> dict[str, Any]:
    """A filter as `Insights.workflows` takes it, from its JSON."""
    chosen = dict(stored)
    for name in ("since", "until"):
        if chosen[name] is not None:
            chosen[name] = datetime.fromisoformat(chosen[name])
    return chosen
