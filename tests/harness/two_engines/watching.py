"""What the ledger shows while engines work: waited for by the tests that stop them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from support.waiting import eventually

_OPEN = """
SELECT s.job_id
FROM public.ledger s
WHERE s.mark = 'start' AND s.pid = $1
AND NOT EXISTS (SELECT FROM public.ledger e WHERE e.mark = 'end' AND e.token = s.token)
"""


async def busy(connection: asyncpg.Connection[Any], pid: int, count: int) -> list[int]:
    """Wait until a process performs that many steps; their jobs."""

    async def look() -> list[int]:
        rows = await connection.fetch(_OPEN, pid)
        return [row[0] for row in rows] if len(rows) >= count else []

    return await eventually(look)


async def ended(connection: asyncpg.Connection[Any], pid: int, count: int) -> None:
    """Wait until a process has performed that many steps to their end."""
    query = "SELECT count(*) FROM public.ledger WHERE mark = 'end' AND pid = $1"

    async def look() -> bool:
        found: int = await connection.fetchval(query, pid)
        return found >= count

    await eventually(look)


async def open_steps(connection: asyncpg.Connection[Any], pid: int) -> list[int]:
    """The jobs whose performance this process has begun and not ended."""
    return [row[0] for row in await connection.fetch(_OPEN, pid)]


async def settled(
    connection: asyncpg.Connection[Any], job_ids: Sequence[int], deadline: float
) -> None:
    """Wait until all these steps have settled."""

    async def look() -> bool:
        left: int = await connection.fetchval(
            "SELECT count(*) FROM baton.workflow_nodes"
            " WHERE job_id = ANY ($1::bigint[]) AND state IS NULL",
            job_ids,
        )
        return left == 0

    await eventually(look, deadline)


async def recorded_by(
    connection: asyncpg.Connection[Any], job_ids: Sequence[int]
) -> dict[int, int]:
    """By job, the process whose result was recorded."""
    rows = await connection.fetch(
        "SELECT n.job_id, l.pid FROM baton.workflow_nodes n JOIN public.ledger l"
        " ON l.mark = 'end' AND l.token::text = n.result -> 'value' ->> 'token'"
        " WHERE n.job_id = ANY ($1::bigint[])",
        job_ids,
    )
    return {row[0]: row[1] for row in rows}


async def rescues(connection: asyncpg.Connection[Any], job_ids: Sequence[int]) -> dict[int, int]:
    """By job, how often it was rescued."""
    rows = await connection.fetch(
        "SELECT j.id, count(e.entry)::integer FROM baton.oban_jobs j"
        " LEFT JOIN LATERAL jsonb_array_elements(to_jsonb(j.errors)) AS e (entry)"
        " ON (e.entry ->> 'rescued') = 'true'"
        " WHERE j.id = ANY ($1::bigint[]) GROUP BY j.id",
        job_ids,
    )
    return {row[0]: row[1] for row in rows}
