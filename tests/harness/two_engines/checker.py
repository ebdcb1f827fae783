"""Compares tables, ledger and announcements with what had to happen. Only after all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg

from support.invariants import violations
from two_engines.fault import Fault, Kind
from two_engines.graphs import Expected, Fate
from two_engines.wait_checker import wait_faults

_STEPS = """
SELECT n.workflow_id, n.name, n.state::text AS state, n.result -> 'value' ->> 'token' AS token,
    coalesce(j.attempt, 0) AS attempt,
    (SELECT count(*) FROM public.ledger l WHERE l.job_id = n.job_id AND l.mark = 'start') AS starts,
    (
        SELECT count(*) FROM public.ledger l
        WHERE l.job_id = n.job_id AND l.mark = 'left' AND l.ending <> 'Suspension'
    ) AS left,
    (
        SELECT count(*) FROM jsonb_array_elements(to_jsonb(j.errors)) AS e
        WHERE e ->> 'rescued' = 'true'
    ) AS rescues,
    (
        SELECT array_agg(l.token::text ORDER BY l.seq)
        FROM public.ledger l
        WHERE l.job_id = n.job_id AND l.mark = 'end' AND l.ending = 'succeed'
    ) AS successes
FROM baton.workflow_nodes n
LEFT JOIN baton.oban_jobs j ON j.id = n.job_id
WHERE n.workflow_id = ANY ($1::uuid[])
"""

# The end that counts is that of the accepted result, or the first one of a failed step; a step that
# was cancelled by a cascade has none. What a retry has replaced does not count.
_EARLY = """
WITH ends AS (
    SELECT n.job_id, min(l.seq) AS seq
    FROM baton.workflow_nodes n
    JOIN public.ledger l ON l.job_id = n.job_id AND l.mark = 'end'
    WHERE n.workflow_id = ANY ($1::uuid[])
    AND (n.result IS NULL OR n.result -> 'value' ->> 'token' = l.token::text)
    AND NOT EXISTS (
        SELECT FROM baton.workflow_step_history h
        WHERE h.workflow_id = n.workflow_id AND h.job_id = n.job_id AND h.attempt >= l.attempt
    )
    GROUP BY n.job_id
)
SELECT n.workflow_id, n.name, d.job_id AS dependency
FROM baton.workflow_nodes n
CROSS JOIN LATERAL unnest(n.deps) AS d (job_id)
JOIN ends e ON e.job_id = d.job_id
JOIN public.ledger l ON l.job_id = n.job_id AND l.mark = 'start' AND l.seq < e.seq
WHERE n.workflow_id = ANY ($1::uuid[])
-- Nobody waits for all of several alternatives.
AND (d.job_id = ANY (n.any_of)) IS NOT TRUE
AND NOT EXISTS (
    SELECT FROM baton.workflow_step_history h
    WHERE h.workflow_id = n.workflow_id AND h.job_id = n.job_id AND h.attempt >= l.attempt
)
"""

# Whoever read a result wrote down which one it was.
_REPLACED = """
SELECT n.workflow_id, n.name, r.key AS dependency
FROM baton.workflow_nodes n
CROSS JOIN LATERAL jsonb_each_text(n.result -> 'value' -> 'read') AS r
JOIN baton.workflow_nodes d ON d.workflow_id = n.workflow_id AND d.name = r.key
WHERE n.workflow_id = ANY ($1::uuid[])
AND d.result -> 'value' ->> 'token' IS DISTINCT FROM r.value
"""

# And wrote down all that were there to be read.
_UNREAD = """
SELECT n.workflow_id, n.name, d.name AS dependency, 'was not read'
FROM baton.workflow_nodes n
JOIN baton.workflow_nodes d ON d.job_id = ANY (n.deps) AND d.result IS NOT NULL
    AND (d.job_id = ANY (n.any_of)) IS NOT TRUE
WHERE n.workflow_id = ANY ($1::uuid[])
AND n.result -> 'value' ? 'read' AND NOT n.result -> 'value' -> 'read' ? d.name
"""

# A dependent of a gate wrote down the whole of what it read.
_REPLACED_GATE = """
SELECT n.workflow_id, n.name, r.key AS dependency
FROM baton.workflow_nodes n
CROSS JOIN LATERAL jsonb_each(n.result -> 'value' -> 'gates') AS r
JOIN baton.workflow_nodes d ON d.workflow_id = n.workflow_id AND d.name = r.key
WHERE n.workflow_id = ANY ($1::uuid[])
AND d.result -> 'value' IS DISTINCT FROM r.value
"""


async def faults(
    connection: asyncpg.Connection[Any],
    expected: Sequence[Expected],
    notified: Sequence[str] | None,
    *,
    calm: bool = True,
    all_told: bool | None = None,
) -> list[Fault]:
    """All that is not as it has to be. `calm`: no process was stopped by force, so that no step was
    performed again, and the event of every workflow has reached the ledger, unless `all_told` says
    that others tell too. `notified` is None where nobody could listen all the time.
    """
    ids = [one.workflow_id for one in expected]
    found = [Fault(Kind.TABLES, text) for text in await violations(connection)]
    found += await _step_faults(connection, expected, calm)
    for kind, query in (
        (Kind.EARLY, _EARLY),
        (Kind.SECOND, _REPLACED),
        (Kind.SECOND, _REPLACED_GATE),
        (Kind.WRONG, _UNREAD),
    ):
        found += [Fault(kind, str(tuple(row))) for row in await connection.fetch(query, ids)]
    found += await wait_faults(connection, expected)
    if notified is not None:
        found += _announced("notified", expected, Counter(notified))
    rows = await connection.fetch("SELECT workflow_id::text FROM baton.workflow_completions")
    found += _announced("completed", expected, Counter(row[0] for row in rows))
    rows = await connection.fetch("SELECT workflow_id::text FROM public.told")
    all_told = calm if all_told is None else all_told
    found += _announced("told", expected, Counter(row[0] for row in rows), all_told=all_told)
    return found


async def _step_faults(
    connection: asyncpg.Connection[Any], expected: Sequence[Expected], calm: bool
) -> list[Fault]:
    rows = await connection.fetch(_STEPS, [one.workflow_id for one in expected])
    steps = {(row["workflow_id"], row["name"]): row for row in rows}
    found: list[Fault] = []
    for one in expected:
        for name, fate in one.fates().items():
            row = steps.get((one.workflow_id, name))
            step = f"{one.workflow_id} {name}"
            if row is None:
                found.append(Fault(Kind.LOST, f"{step}: it is lost"))
                continue
            if row["state"] not in fate.states:
                kind = Kind.UNSETTLED if row["state"] is None else Kind.WRONG
                wanted = " or ".join(sorted(fate.states))
                found.append(Fault(kind, f"{step}: {row['state']}, not {wanted}"))
            elsewhere = name in one.graph.gates or name in one.taken_over
            if (
                row["state"] == "completed"
                and not elsewhere
                and row["token"] not in (row["successes"] or ())
            ):
                found.append(Fault(Kind.SECOND, f"{step}: its result is of no execution"))
            # A connection that is lost takes an attempt with its transaction along.
            lost = int(name in one.graph.writes and not calm)
            cancelled = one.cancelled and row["state"] == "cancelled"
            found += _performed(step, row, fate, calm, cancelled, name in one.graph.waits, lost)
            if row["attempt"] > fate.attempts + lost:
                text = f"{step}: attempt {row['attempt']}, not {fate.attempts}"
                found.append(Fault(Kind.WRONG, text))
    return found


def _performed(
    step: str,
    row: asyncpg.Record,
    fate: Fate,
    calm: bool,
    cancelled: bool,
    waits: bool,
    lost: int,
) -> list[Fault]:
    """A step that is performed again has a reason: it was rescued, or its body was left."""
    least = 0 if cancelled else fate.executions
    most = fate.executions
    if not calm and fate.executions:
        most += row["rescues"] + row["left"] + lost
    if least <= row["starts"] <= most:
        return []
    kind = Kind.LOST if row["starts"] < least else Kind.TWICE if waits else Kind.SECOND
    return [Fault(kind, f"{step}: performed {row['starts']} times, not {least} to {most}")]


def _announced(
    what: str, expected: Sequence[Expected], seen: Counter[str], *, all_told: bool = True
) -> list[Fault]:
    """Each run of a workflow is announced once."""
    found: list[Fault] = []
    for one in expected:
        count = seen[str(one.workflow_id)]
        least = one.runs if all_told else 0
        if not least <= count <= one.runs:
            kind = Kind.MISSING if count < least else Kind.DUPLICATE
            found.append(Fault(kind, f"{what} {count} times: {one.workflow_id}"))
    return found
