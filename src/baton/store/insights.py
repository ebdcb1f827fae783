"""Typed reads for those who look, and change nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import anyio
import asyncpg

from baton.core.errortext import sanitize
from baton.core.jsonvalue import decode
from baton.core.why import MOST_COUNTED, StepFacts, StepWait
from baton.store.completions import parse_completion
from baton.store.following import follow, gather
from baton.store.results import DependencyRow, job_state, parse_dependencies, step_state
from baton.store.store import Store
from baton.words.insights import (
    EngineRow,
    QueueRow,
    StepCounts,
    StepRow,
    WorkflowDetail,
    WorkflowRow,
    WorkflowState,
)
from baton.words.states import JobState

ERROR_LIMIT = 2_000
"""Most bytes of an error's text."""

MOST_LOOKED_AT = 10_000
"""Most workflows looked at for one page."""

STEP_STATES = (*JobState, "skipped", "gone")

_UNSUCCESSFUL = (WorkflowState.FAILED, WorkflowState.CANCELLED)


class Place(NamedTuple):
    """Where a list of workflows goes on, newest first."""

    inserted_at: datetime
    workflow_id: UUID


class WorkflowFilter(NamedTuple):
    """Which workflows are listed; None for any. `attributes` are JSON text; both are contained in
    those of the workflow.
    """

    state: WorkflowState | None = None
    name: str | None = None
    since: datetime | None = None
    tags: tuple[str, ...] | None = None
    attributes: str | None = None


async def list_workflows(
    database: Store, wanted: WorkflowFilter, after: Place | None, limit: int
) -> tuple[list[WorkflowRow], Place | None]:
    """Up to `limit` workflows past a place, newest first, and where to go on.

    They are looked for in the order of time. Where that does not find enough of those with tags or
    attributes, few have them, and their index knows all.
    """
    place = (None, None) if after is None else after
    rows, look = await _look(database, wanted, place, limit)
    listed = [row for row in rows if row["fits"]]
    last = None
    if len(listed) > limit:
        last = listed[limit - 1]
    elif rows and rows[-1]["position"] == look:
        last = rows[-1]
        gathered = await _gather(database, wanted, place, limit)
        if gathered is not None:
            listed, last = gathered, gathered[limit - 1] if len(gathered) > limit else None
    listed = listed[:limit]
    failures = await _read_failures(
        database, [row["id"] for row in listed if row["state"] in _UNSUCCESSFUL]
    )
    return (
        [_workflow(row, failures.get(row["id"])) for row in listed],
        None if last is None else Place(last["inserted_at"], last["id"]),
    )


async def _look(
    database: Store, wanted: WorkflowFilter, place: tuple[object, object], limit: int
) -> tuple[list[asyncpg.Record], int]:
    """What stands past a place, and how many of them were looked at at most."""
    state, name, since, *found_by = wanted
    chosen = found_by != [None, None]
    if state in _UNSUCCESSFUL:
        look = MOST_LOOKED_AT if chosen or name is not None else limit + 1
        args = (name, look, limit + 1, since, state, *found_by)
        return await follow(database, "list_workflows_by_outcome", *place, *args), look
    look = MOST_LOOKED_AT if chosen or state is not None else limit + 1
    args = (state, look, limit + 1, since)
    if name is None:
        return await follow(database, "list_workflows", *place, *args, *found_by), look
    return await follow(database, "list_named_workflows", *place, *args, name, *found_by), look


async def _gather(
    database: Store, wanted: WorkflowFilter, place: tuple[object, object], limit: int
) -> list[asyncpg.Record] | None:
    """Up to one more than `limit` of those with the tags and attributes; None where there are too
    many of them to know, or neither is asked for.
    """
    by: tuple[object, object] = wanted.attributes, wanted.tags
    query = "list_attributed_workflows"
    if wanted.attributes is None:
        if wanted.tags is None:
            return None
        by, query = (wanted.tags, None), "list_tagged_workflows"
    args = (*by, MOST_LOOKED_AT, wanted.name, wanted.state, *place, wanted.since, limit + 1)
    rows = await gather(database, query, *args)
    if rows[0]["found"] > MOST_LOOKED_AT:
        return None
    return [row for row in rows if row["id"] is not None]


async def _read_failures(
    database: Store, workflow_ids: list[UUID]
) -> dict[UUID, tuple[str, str | None]]:
    """The step that failed first in each of these workflows, and its error."""
    if not workflow_ids:
        return {}
    rows = await database.fetch("read_first_failures", workflow_ids, ERROR_LIMIT + 1)
    return {row["workflow_id"]: (row["name"], error_text(row["error"])) for row in rows}


async def read_workflow(database: Store, workflow_id: UUID) -> WorkflowDetail | None:
    """None when neither the workflow nor its completion exists."""
    rows = await database.fetch("read_workflow", workflow_id)
    if not rows:
        return None
    (row,) = rows
    completion = None if row["completion"] is None else parse_completion(row["completion"])
    failures = await _read_failures(database, [workflow_id] if row["completion"] else [])
    counts = StepCounts(**{state: row[state] for state in STEP_STATES})
    if completion is None:
        workflow = WorkflowRow(
            row["id"],
            row["name"],
            WorkflowState.RUNNING,
            row["steps"],
            row["outstanding"],
            row["failed"],
            row["inserted_at"],
            None,
            row["age"],
            paused_at=row["paused_at"],
            pause_reason=row["pause_reason"],
            **_found_by(row),
        )
    else:
        workflow = WorkflowRow(
            completion.workflow_id,
            completion.workflow_name,
            WorkflowState(completion.outcome),
            completion.total_count,
            0,
            completion.failed_count,
            completion.inserted_at,
            completion.finished_at,
            completion.duration.total_seconds(),
            *failures.get(workflow_id, (None, None)),
            **_found_by(row),
        )
    return WorkflowDetail(
        workflow,
        counts,
        completion,
        row["forked_from"],
        row["deadline"],
        row["run"],
        None if row["input"] is None else decode(row["input"]),
        row["output_step"],
    )


async def read_step_names(database: Store, workflow_id: UUID, limit: int) -> list[str]:
    """The names of the steps of a workflow, at most `limit`, in the order they were added."""
    return [row["name"] for row in await database.read("read_step_names", workflow_id, limit)]


async def read_steps(
    database: Store, workflow_id: UUID, state: str | None, after: int, limit: int
) -> list[StepRow]:
    """Up to `limit` steps past a job id, of a state or of any, in the order they were added."""
    # One character more, so that a text that was cut says so.
    rows = await database.fetch("read_steps", workflow_id, after, limit, ERROR_LIMIT + 1, state)
    return [
        StepRow(
            job_id=row["job_id"],
            name=row["name"],
            worker=row["worker"],
            queue=row["queue"],
            job_state=job_state(row["job_state"]),
            settled=step_state(row["settled"]),
            attempt=row["attempt"],
            max_attempts=row["max_attempts"],
            scheduled_at=row["scheduled_at"],
            attempted_at=row["attempted_at"],
            finished_at=row["finished_at"],
            error=error_text(row["error"]),
            dependencies=tuple(row["dependencies"]),
            has_result=row["has_result"],
        )
        for row in rows
    ]


async def count_queues(database: Store) -> list[QueueRow]:
    return [QueueRow(*row) for row in await database.fetch("count_queues")]


async def count_open_waits(database: Store) -> tuple[int, float]:
    """How many waits are not over, and the age of the oldest in seconds."""
    (row,) = await database.fetch("count_open_waits")
    return row["open"], max(row["oldest"], 0.0)


async def read_engines(database: Store) -> list[EngineRow]:
    return [_engine(row) for row in await database.fetch("read_engines")]


async def read_step_facts(
    database: Store, workflow_id: UUID, step: str
) -> tuple[StepFacts, list[DependencyRow]] | None:
    """One step and its dependencies, of one moment; None when there is no such step."""
    async with database.connection() as connection:
        with anyio.CancelScope(shield=True):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                rows = await connection.fetch(
                    database.sql("read_step_facts"),
                    workflow_id,
                    step,
                    MOST_COUNTED,
                    ERROR_LIMIT + 1,
                )
                if not rows:
                    return None
                (row,) = rows
                dependencies = await connection.fetch(
                    database.sql("read_dependencies"), row["job_id"]
                )
    return _facts(workflow_id, step, row), parse_dependencies(dependencies)


def _facts(workflow_id: UUID, step: str, row: asyncpg.Record) -> StepFacts:
    return StepFacts(
        workflow_id=workflow_id,
        step=step,
        job_id=row["job_id"],
        now=row["now"],
        settled=step_state(row["settled"]),
        job_state=job_state(row["job_state"]),
        queue=row["queue"],
        attempt=row["attempt"] or 0,
        max_attempts=row["max_attempts"] or 0,
        scheduled_at=row["scheduled_at"],
        attempted_at=row["attempted_at"],
        finished_at=row["finished_at"],
        error=error_text(row["error"]),
        host=row["host"],
        by_baton=row["by_baton"],
        engine=None if row["engine_id"] is None else _engine(row),
        ahead=row["ahead"],
        executing=row["executing"],
        live_engines=row["live_engines"],
        serving=row["serving"],
        paused=row["paused"],
        room=row["room"],
        wait=_wait(row),
        paused_since=row["paused_at"],
        pause_reason=row["pause_reason"],
    )


def _wait(row: asyncpg.Record) -> StepWait | None:
    if row["wait_names"] is None:
        return None
    return StepWait(
        tuple(row["wait_names"]),
        row["wait_need"],
        tuple(row["wait_received"]),
        row["wait_since"],
        row["wait_deadline"],
        row["wait_prompt"],
    )


def _workflow(row: asyncpg.Record, failure: tuple[str, str | None] | None) -> WorkflowRow:
    failed_step, error = failure or (None, None)
    return WorkflowRow(
        row["id"],
        row["name"],
        WorkflowState(row["state"]),
        row["steps"],
        row["outstanding"],
        row["failed"],
        row["inserted_at"],
        row["finished_at"],
        row["duration"],
        failed_step,
        error,
        paused_at=row["paused_at"],
        pause_reason=row["pause_reason"],
        **_found_by(row),
    )


def _found_by(row: asyncpg.Record) -> dict[str, Any]:
    attributes = row["attributes"]
    return {
        "tags": tuple(row["tags"] or ()),
        "attributes": {} if attributes is None else decode(attributes),
    }


def _engine(row: asyncpg.Record) -> EngineRow:
    return EngineRow(
        row["engine_id"],
        row["name"],
        row["node"],
        row["started_at"],
        row["seen_at"],
        row["silent_for"],
        row["rescue_after"],
        row["silent_for"] <= row["rescue_after"],
        decode(row["queues"]),
    )


def error_text(text: str | None) -> str | None:
    """The text of an error as it is shown, capped."""
    return None if text is None else sanitize(text, ERROR_LIMIT)
