"""Typed reads of completions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from baton.store.store import Store
from baton.words.rows import Completion, UnsettledStep
from baton.words.states import WorkflowOutcome, state_of


class FoundCompletion(NamedTuple):
    """The answer to a question for a run of a workflow, 0 for the current one. `current` is None
    where there is no such workflow.
    """

    workflow_id: UUID
    asked: int
    current: int | None
    completion: Completion | None


def parse_completion(text: str) -> Completion:
    """A completion from its row as JSON text."""
    row = json.loads(text)
    return Completion(
        workflow_id=UUID(row["workflow_id"]),
        workflow_name=row["workflow_name"],
        outcome=WorkflowOutcome(row["outcome"]),
        failed_steps=tuple(row["failed_steps"]),
        failed_count=row["failed_count"],
        total_count=row["total_count"],
        inserted_at=datetime.fromisoformat(row["inserted_at"]).astimezone(UTC),
        finished_at=datetime.fromisoformat(row["finished_at"]).astimezone(UTC),
        announced_at=datetime.fromisoformat(row["announced_at"]).astimezone(UTC),
        run=row["run"],
        skipped_steps=tuple(row["skipped_steps"]),
        output=row["output"],
    )


async def read_completions(
    database: Store, asked: Sequence[tuple[UUID, int]]
) -> list[FoundCompletion]:
    """What there is to tell of runs of workflows, run 0 for the current one: those that have
    finished, those that asked for the current run, and those that do not exist.
    """
    rows = await database.read(
        "read_completions",
        [workflow_id for workflow_id, _ in asked],
        [run for _, run in asked],
    )
    return [
        FoundCompletion(
            row["workflow_id"],
            row["asked"],
            row["current"],
            None if row["completion"] is None else parse_completion(row["completion"]),
        )
        for row in rows
    ]


async def find_missing_workflows(database: Store, workflow_ids: Sequence[UUID]) -> list[UUID]:
    """Of the given ids, those of no workflow in this schema."""
    rows = await database.read("find_missing_workflows", workflow_ids)
    return [row["id"] for row in rows]


class Unsettled(NamedTuple):
    """How many steps of a workflow have not settled, some of them, and whether it is paused."""

    outstanding: int = 0
    steps: Sequence[UnsettledStep] = ()
    paused_at: datetime | None = None
    pause_reason: str | None = None


async def read_unsettled_steps(
    database: Store, workflow_id: UUID, queues: Sequence[str], limit: int
) -> Unsettled:
    """What has not settled, at most `limit` steps by name, first what is available in another queue
    than these; nothing when the workflow has ended or is unknown.
    """
    rows = await database.read("read_unsettled_steps", workflow_id, queues, limit)
    steps = [
        UnsettledStep(
            row["name"],
            None if row["state"] is None else state_of(row["state"]),
            row["queue"],
            row["served"],
        )
        for row in rows
    ]
    if not rows:
        return Unsettled()
    first = rows[0]
    return Unsettled(first["outstanding"], steps, first["paused_at"], first["pause_reason"])
