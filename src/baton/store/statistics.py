"""Typed writes and reads of what steps used of models and what they captured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.store.store import Store
from baton.words.rows import (
    Capture,
    CaptureRecord,
    ClaimedJob,
    ModelUsage,
    UsageRecord,
    WorkflowUsage,
)


async def record_usage(database: Store, job: ClaimedJob, records: Sequence[UsageRecord]) -> None:
    """Write what an attempt used, in a transaction of its own. Safe to repeat."""
    columns = list(zip(*records, strict=True))

    async def body() -> None:
        await database.fetch("record_usage", *_attempt(job), *columns)

    await database.retrying(body, idempotent=True)


async def record_captures(
    database: Store, job: ClaimedJob, records: Sequence[CaptureRecord]
) -> None:
    """Write what an attempt captured, in a transaction of its own. Safe to repeat."""
    columns = list(zip(*records, strict=True))

    async def body() -> None:
        await database.fetch("record_captures", *_attempt(job), *columns)

    await database.retrying(body, idempotent=True)


async def read_usage(database: Store, workflow_id: UUID) -> WorkflowUsage:
    """What all attempts of all steps of a workflow used; zeros where nothing is recorded."""
    rows = await database.read("read_usage", workflow_id)
    models = tuple(
        ModelUsage(**_sums(row), model=row["model"], provider=row["provider"])
        for row in rows
        if not row["total"]
    )
    (total,) = (row for row in rows if row["total"])
    return WorkflowUsage(**_sums(total), workflow_id=workflow_id, models=models)


async def read_captures(
    database: Store,
    workflow_id: UUID,
    step: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Capture]:
    """What the steps of a workflow, or one of them, captured, in the order written."""
    place = (None, None) if after is None else after
    rows = await database.read("read_captures", workflow_id, step, *place, limit)
    return [
        Capture(
            id=row["id"],
            workflow_id=row["workflow_id"],
            step=row["step"],
            attempt=row["attempt"],
            label=row["label"],
            content=decode(row["content"]),
            recorded_at=row["recorded_at"].astimezone(UTC),
        )
        for row in rows
    ]


def _attempt(job: ClaimedJob) -> tuple[UUID | None, int, str | None, int]:
    node = job.node
    return node and node.workflow_id, job.id, node and node.name, job.attempt


def _sums(row: Any) -> dict[str, Any]:
    return {
        "records": row["records"],
        "input_tokens": int(row["input_tokens"]),
        "output_tokens": int(row["output_tokens"]),
        "cache_read_tokens": int(row["cache_read_tokens"]),
        "cache_write_tokens": int(row["cache_write_tokens"]),
        "latency_ms": int(row["latency_ms"]),
        "cost": row["cost"],
        "unpriced": row["unpriced"],
    }
