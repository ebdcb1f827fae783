"""Reads from Baton's tables what the demo shows: unfinished workflows, and the steps of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

_UNFINISHED = """
SELECT w.id, j.tags
FROM baton.workflows w
JOIN baton.workflow_nodes n ON n.workflow_id = w.id AND n.name = 'split'
LEFT JOIN baton.oban_jobs j ON j.id = n.job_id
WHERE w.finished_at IS NULL AND w.name = 'demo'
ORDER BY w.inserted_at
"""

_STEPS = """
SELECT
    n.name,
    j.state::text AS state,
    j.attempt::integer AS attempt,
    coalesce(extract(epoch FROM j.completed_at - j.attempted_at), 0)::float8 AS seconds,
    (
        SELECT count(*)::integer
        FROM jsonb_array_elements(to_jsonb(j.errors)) e
        WHERE e ->> 'rescued' = 'true'
    ) AS rescues,
    to_jsonb(j.errors) -> -1 ->> 'error' AS error,
    ARRAY(
        SELECT d.name FROM baton.workflow_nodes d WHERE d.job_id = ANY (n.deps) ORDER BY d.job_id
    ) AS deps
FROM baton.workflow_nodes n
JOIN baton.oban_jobs j ON j.id = n.job_id
WHERE n.workflow_id = $1
ORDER BY n.job_id
"""

_RESULT = "SELECT result ->> 'value' FROM baton.workflow_nodes WHERE workflow_id = $1 AND name = $2"


class StepRow(NamedTuple):
    """A step as the tables have it. `seconds` from its last start to its end; `deps` are names."""

    name: str
    state: str
    attempt: int
    seconds: float
    rescues: int
    error: str | None
    deps: list[str]


async def read_unfinished(connection: asyncpg.Connection[Any]) -> Mapping[UUID, str]:
    """The demo's workflows that have not ended, with the fingerprints of their inputs."""
    rows = await connection.fetch(_UNFINISHED)
    return {row["id"]: (row["tags"] or [""])[0] for row in rows}


async def read_steps(connection: asyncpg.Connection[Any], workflow_id: UUID) -> list[StepRow]:
    """The steps of a workflow, in the order they were added."""
    return [StepRow(*row) for row in await connection.fetch(_STEPS, workflow_id)]


async def read_text_result(
    connection: asyncpg.Connection[Any], workflow_id: UUID, step: str
) -> str | None:
    """A step's stored result, a text; None when there is none."""
    result: str | None = await connection.fetchval(_RESULT, workflow_id, step)
    return result
