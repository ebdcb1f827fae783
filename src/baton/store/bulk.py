"""Typed calls on operations on many workflows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from baton.core.jsonvalue import decode, encode
from baton.store.store import Store
from baton.words.bulk import Bulk, BulkFailure, BulkState

KEPT_DAYS = 90
"""How long an operation that has finished is remembered."""

_LIMIT = 1_000_000


class Walk(NamedTuple):
    """An operation, the workflows it is at, and where the list goes on behind them."""

    bulk: Bulk
    batch: list[UUID]
    cursor: str | None
    position: int


async def insert_bulk(
    database: Store,
    bulk_id: UUID,
    action: str,
    filter: Mapping[str, Any],
    options: Mapping[str, Any],
    actor: str | None,
    reason: str | None,
    matched: int,
) -> None:
    """Write an operation down. Raises NotStorableError, TooLargeError."""
    write = partial(
        database.fetch,
        "insert_bulk",
        bulk_id,
        action,
        encode(dict(filter), what="the filter", limit=_LIMIT),
        encode(dict(options), what="the options", limit=_LIMIT),
        actor,
        reason,
        matched,
        KEPT_DAYS,
    )
    await database.retrying(write, idempotent=True)


async def read_walk(database: Store, bulk_id: UUID) -> Walk | None:
    """None when there is no such operation."""
    rows = await database.read("read_bulk", bulk_id)
    return _walk(rows[0]) if rows else None


async def list_bulks(
    database: Store, after: tuple[datetime, UUID] | None, limit: int
) -> list[Bulk]:
    """Up to `limit` operations past a place, newest first."""
    rows = await database.read("list_bulks", *(after or (None, None)), limit)
    return [_walk(row).bulk for row in rows]


async def advance_bulk(
    database: Store,
    walk: Walk,
    batch: Sequence[UUID],
    cursor: str | None,
    failed: Sequence[UUID],
    failures: Sequence[BulkFailure],
) -> None:
    """Move an operation past its batch to the next one, unless somebody has."""
    texts = [{"workflow_id": one.workflow_id, "error": one.error} for one in failures]
    write = partial(
        database.fetch,
        "advance_bulk",
        walk.bulk.bulk_id,
        walk.position,
        batch,
        cursor,
        failed,
        encode(texts, what="what failed", limit=_LIMIT),
        walk.batch,
    )
    await database.retrying(write, idempotent=True)


def _walk(row: asyncpg.Record) -> Walk:
    bulk = Bulk(
        row["id"],
        row["action"],
        BulkState(row["state"]),
        decode(row["filter"]),
        decode(row["options"]),
        row["actor"],
        row["reason"],
        row["matched"],
        row["done"],
        row["passed"],
        row["failed"],
        tuple(
            BulkFailure(UUID(one["workflow_id"]), one["error"]) for one in decode(row["failures"])
        ),
        row["started_at"],
        row["finished_at"],
    )
    return Walk(bulk, row["batch"], row["cursor"], row["position"])
