"""Compares tables, ledger and announcements with what had to happen. Only after all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from support.invariants import violations
from two_engines.graphs import Expected, Fate

_STEPS = """
SELECT n.workflow_id, n.name, n.state::text AS state, n.result -> 'value' ->> 'token' AS token,
    coalesce(j.attempt, 0) AS attempt,
    (SELECT count(*) FROM public.ledger l WHERE l.job_id = n.job_id AND l.mark = 'start') AS starts,
    (
        SELECT array_agg(l.token::text ORDER BY l.seq)
        FROM public.ledger l
        WHERE l.job_id = n.job_id AND l.mark = 'end' AND l.ending = 'succeed'
    ) AS successes
FROM public.workflow_nodes n
LEFT JOIN public.oban_jobs j ON j.id = n.job_id
WHERE n.workflow_id = ANY ($1::uuid[])
"""

# The end that counts is that of the accepted result, or the first one of a failed step; a step that
# was cancelled by a cascade has none.
_EARLY = """
WITH ends AS (
    SELECT n.job_id, min(l.seq) AS seq
    FROM public.workflow_nodes n
    JOIN public.ledger l ON l.job_id = n.job_id AND l.mark = 'end'
    WHERE n.workflow_id = ANY ($1::uuid[])
    AND (n.result IS NULL OR n.result -> 'value' ->> 'token' = l.token::text)
    GROUP BY n.job_id
)
SELECT n.workflow_id, n.name, d.job_id AS dependency
FROM public.workflow_nodes n
CROSS JOIN LATERAL unnest(n.deps) AS d (job_id)
JOIN ends e ON e.job_id = d.job_id
JOIN public.ledger l ON l.job_id = n.job_id AND l.mark = 'start' AND l.seq < e.seq
WHERE n.workflow_id = ANY ($1::uuid[])
"""

# Whoever read a result wrote down which one it was.
_REPLACED = """
SELECT n.workflow_id, n.name, r.key AS dependency
FROM public.workflow_nodes n
CROSS JOIN LATERAL jsonb_each_text(n.result -> 'value' -> 'read') AS r
JOIN public.workflow_nodes d ON d.workflow_id = n.workflow_id AND d.name = r.key
WHERE n.workflow_id = ANY ($1::uuid[])
AND d.result -> 'value' ->> 'token' IS DISTINCT FROM r.value
"""


async def faults(
    connection: asyncpg.Connection[Any],
    expected: Sequence[Expected],
    notified: Sequence[str] | None,
    *,
    calm: bool = True,
) -> list[str]:
    """All that is not as it has to be, as text. `calm`: no process was stopped by force, so that
    no step was performed again, and the event of every workflow has reached the ledger. `notified`
    is None where nobody could listen all the time.
    """
    ids = [one.workflow_id for one in expected]
    found = await violations(connection)
    found += await _step_faults(connection, expected, calm)
    found += [f"started early: {tuple(row)}" for row in await connection.fetch(_EARLY, ids)]
    found += [f"second outcome: {tuple(row)}" for row in await connection.fetch(_REPLACED, ids)]
    if notified is not None:
        found += _once("notified", ids, Counter(notified))
    rows = await connection.fetch("SELECT workflow_id::text FROM public.workflow_completions")
    found += _once("completed", ids, Counter(row[0] for row in rows))
    rows = await connection.fetch("SELECT workflow_id::text FROM public.told")
    told = Counter(row[0] for row in rows)
    found += _once("told", ids, told) if calm else _at_most_once("told", ids, told)
    return found


async def _step_faults(
    connection: asyncpg.Connection[Any], expected: Sequence[Expected], calm: bool
) -> list[str]:
    rows = await connection.fetch(_STEPS, [one.workflow_id for one in expected])
    steps = {(row["workflow_id"], row["name"]): row for row in rows}
    found: list[str] = []
    for one in expected:
        for name, fate in one.fates().items():
            row = steps.get((one.workflow_id, name))
            step = f"{one.workflow_id} {name}"
            if row is None:
                found.append(f"{step}: it is lost")
                continue
            if row["state"] not in fate.states:
                found.append(f"{step}: {row['state']}, not {' or '.join(sorted(fate.states))}")
            if row["state"] == "completed" and row["token"] not in (row["successes"] or ()):
                found.append(f"{step}: its result is of no execution")
            if not _fits(row["starts"], fate, calm, one.cancelled and row["state"] == "cancelled"):
                found.append(f"{step}: performed {row['starts']} times, not {fate.executions}")
            if row["attempt"] > fate.attempts:
                found.append(f"{step}: attempt {row['attempt']}, not {fate.attempts}")
    return found


def _fits(executions: int, fate: Fate, calm: bool, cancelled: bool) -> bool:
    if cancelled:
        return executions <= fate.executions or (not calm and fate.executions > 0)
    return executions == fate.executions or (not calm and executions > fate.executions > 0)


def _once(what: str, ids: Sequence[UUID], seen: Counter[str]) -> list[str]:
    return [f"{what} {seen[str(i)]} times: {i}" for i in ids if seen[str(i)] != 1]


def _at_most_once(what: str, ids: Sequence[UUID], seen: Counter[str]) -> list[str]:
    return [f"{what} {seen[str(i)]} times: {i}" for i in ids if seen[str(i)] > 1]
