"""Typed calls on the record of what people did."""

from __future__ import annotations

from uuid import UUID

from baton.core.jsonvalue import decode, encode
from baton.store.borrowed import Fetches
from baton.store.insights import ERROR_LIMIT, error_text
from baton.store.sql import Sql
from baton.store.store import Store
from baton.words.actions import Action, NewAction
from baton.words.runs import StepHistory

_LIMIT = 1_000_000


async def record_action(connection: Fetches, sql: Sql, action: NewAction) -> None:
    """Record an action in the transaction that carries it out."""
    await connection.fetch(
        sql("record_action"),
        action.workflow_id,
        action.action,
        action.actor,
        action.reason,
        action.run,
        action.step,
        encode(dict(action.details), what="the details of an action", limit=_LIMIT),
        encode(dict(action.result), what="the result of an action", limit=_LIMIT),
        action.bulk_id,
    )


async def list_history(
    database: Store, workflow_id: UUID, step: str | None, before: int | None, limit: int
) -> list[StepHistory]:
    """Up to `limit` entries of what retries replaced of a workflow's steps, or of one, newest
    first, before an entry's id.
    """
    rows = await database.read("list_history", workflow_id, step, before, limit, ERROR_LIMIT + 1)
    return [
        StepHistory(
            row["id"],
            row["workflow_id"],
            row["name"],
            row["run"],
            row["state"],
            None if row["result"] is None else decode(row["result"])["value"],
            error_text(row["error"]),
            row["attempt"],
            row["attempted_at"],
            row["ended_at"],
            row["replaced_at"],
        )
        for row in rows
    ]


async def list_actions(
    database: Store, workflow_id: UUID | None, before: int | None, limit: int
) -> list[Action]:
    """Up to `limit` actions on a workflow (None: on any), newest first, before an action's id."""
    if workflow_id is None:
        rows = await database.read("list_all_actions", before, limit)
    else:
        rows = await database.read("list_actions", workflow_id, before, limit)
    return [
        Action(
            row["id"],
            row["workflow_id"],
            row["action"],
            row["step"],
            row["actor"],
            row["reason"],
            row["run"],
            row["done_at"],
            decode(row["details"]),
            decode(row["result"]),
            row["bulk_id"],
        )
        for row in rows
    ]
