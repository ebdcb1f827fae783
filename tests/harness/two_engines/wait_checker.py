"""Compares waits and events with what steps met and senders were told. Only after all is quiet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from two_engines.fault import Fault, Kind
from two_engines.graphs import Expected

# How each group ended, in the words of the ledger, beside what was seen of it: by the runs of its
# step, or in the result of its gate.
_GROUPS = """
SELECT g.workflow_id, n.name AS step, g.replay_key, g.wait_step, g.status, n.state::text AS state,
    o.outcome::text,
    (
        SELECT coalesce(array_agg(r.outcome::text), '{}') FROM public.resumed r
        WHERE r.job_id = g.job_id AND r.key = g.replay_key
    )
    || CASE WHEN g.wait_step AND n.state = 'completed' THEN ARRAY[(
        SELECT jsonb_build_object(
            'outcome', n.result -> 'value' -> 'outcome',
            'events', coalesce(
                jsonb_object_agg(e.key, e.value -> 'id') FILTER (WHERE e.key IS NOT NULL), '{}'
            )
        )::text
        FROM (SELECT) one
        LEFT JOIN LATERAL jsonb_each(n.result -> 'value' -> 'events') AS e ON true
    )] ELSE '{}' END AS seen
FROM baton.workflow_wait_groups g
JOIN baton.workflow_nodes n ON n.job_id = g.job_id
CROSS JOIN LATERAL (
    SELECT jsonb_build_object(
        'outcome', CASE g.status WHEN 'completed' THEN 'events' ELSE g.status END,
        'events', CASE g.status WHEN 'cancelled' THEN '{}' ELSE (
            SELECT coalesce(jsonb_object_agg(m.name, e.payload -> 'id'), '{}')
            FROM baton.workflow_wait_members m
            JOIN baton.workflow_events e ON e.id = m.event_id
            WHERE m.group_id = g.id AND m.state = 'received'
        ) END
    ) AS outcome
) o
WHERE g.workflow_id = ANY ($1::uuid[])
"""

_UNSENT = """
SELECT g.workflow_id, n.name, m.name AS event, e.payload::text
FROM baton.workflow_wait_groups g
JOIN baton.workflow_nodes n ON n.job_id = g.job_id
JOIN baton.workflow_wait_members m ON m.group_id = g.id AND m.state = 'received'
LEFT JOIN baton.workflow_events e ON e.id = m.event_id
WHERE g.workflow_id = ANY ($1::uuid[])
AND NOT EXISTS (
    SELECT FROM public.sent s
    WHERE s.id = e.payload ->> 'id' AND s.name = m.name
    AND (s.workflow_id = g.workflow_id OR s.key = g.correlation_key)
)
"""

# An event that was kept although a wait that is over wanted it, and had time left; or one of a key
# that lies beside a wait for it.
_OVERLOOKED = """
SELECT g.workflow_id, n.name, g.replay_key, g.status, e.name AS event
FROM baton.workflow_wait_groups g
JOIN baton.workflow_nodes n ON n.job_id = g.job_id
JOIN baton.workflow_wait_members m ON m.group_id = g.id AND m.state <> 'received'
JOIN baton.workflow_events e ON e.workflow_id = g.workflow_id AND e.name = m.name
WHERE g.workflow_id = ANY ($1::uuid[]) AND g.status = 'timeout' AND e.state = 'kept'
AND e.sent_at <= g.deadline
UNION ALL
SELECT g.workflow_id, n.name, g.replay_key, 'timeout before its deadline', NULL
FROM baton.workflow_wait_groups g
JOIN baton.workflow_nodes n ON n.job_id = g.job_id
WHERE g.workflow_id = ANY ($1::uuid[]) AND g.status = 'timeout'
AND (g.deadline IS NULL OR g.settled_at < g.deadline)
UNION ALL
SELECT g.workflow_id, n.name, g.replay_key, g.status, e.name
FROM baton.workflow_wait_groups g
JOIN baton.workflow_nodes n ON n.job_id = g.job_id
JOIN baton.workflow_wait_members m ON m.group_id = g.id AND m.state = 'waiting'
JOIN baton.workflow_events e ON e.correlation_key = g.correlation_key AND e.name = m.name
WHERE g.workflow_id = ANY ($1::uuid[]) AND g.status = 'pending' AND e.state = 'kept'
"""

# What was accepted is there, once, and was given to one group, or to as many as it says. A retry
# drops what its steps had taken; the same may be sent again.
_EVENTS = """
SELECT s.id, s.name, s.answer, coalesce(e.rows, 0), 'rows'
FROM (
    SELECT DISTINCT ON (id) * FROM public.sent
    WHERE workflow_id IS NULL OR workflow_id = ANY ($1::uuid[])
) s
LEFT JOIN (
    SELECT
        name, payload ->> 'id' AS id,
        count(*) FILTER (WHERE state <> 'dropped') AS rows,
        count(*) FILTER (WHERE state = 'dropped') AS dropped
    FROM baton.workflow_events
    GROUP BY 1, 2
) e ON e.name = s.name AND e.id = s.id
WHERE coalesce(e.rows, 0) > 1 OR coalesce(e.rows + e.dropped, 0) = 0
UNION ALL
SELECT e.payload ->> 'id', e.name, e.state, count(m.group_id), 'receivers'
FROM baton.workflow_events e
LEFT JOIN baton.workflow_wait_members m ON m.event_id = e.id
GROUP BY e.id
HAVING (count(m.group_id) <> e.receivers AND e.state <> 'dropped')
OR (e.workflow_id IS NOT NULL AND count(m.group_id) > 1)
OR e.state = 'open'
"""


async def wait_faults(
    connection: asyncpg.Connection[Any], expected: Sequence[Expected]
) -> list[Fault]:
    """All that is wrong with waits: each ends once, with its events or because time was over or
    somebody cancelled it, and its step meets that end and no other.
    """
    ids = [one.workflow_id for one in expected]
    rows = await connection.fetch(_GROUPS, ids)
    groups = {(row["workflow_id"], row["step"], row["replay_key"]): row for row in rows}
    found: list[Fault] = []
    taken_over = {(one.workflow_id, step) for one in expected for step in one.taken_over}
    for row in rows:
        # A fork takes over how a wait ended, and no event.
        if (row["workflow_id"], row["step"]) not in taken_over:
            found += _ended_once(row)
    for one in expected:
        for step, fate in one.fates().items():
            for key, awaited in one.graph.awaited(step).items():
                row = groups.get((one.workflow_id, step, key))
                where = f"{one.workflow_id} {step} {key}".strip()
                ends = (
                    (*awaited.ends, "cancelled") if one.cancelled or fate.doomed else awaited.ends
                )
                if row is not None and row["status"] not in (*ends, *_OPEN):
                    text = f"{where}: it ended as {row['status']}, not {' or '.join(ends)}"
                    found.append(Fault(Kind.WRONG, text))
                elif row is None and not one.cancelled and not fate.doomed:
                    found.append(Fault(Kind.NEVER, f"{where}: it was never armed"))
    for kind, query in ((Kind.WRONG, _UNSENT), (Kind.EVENTS, _OVERLOOKED)):
        found += [Fault(kind, str(tuple(row))) for row in await connection.fetch(query, ids)]
    return found + [
        Fault(Kind.EVENTS, f"{row[1]} {row[0]}, {row[2]}: {row[3]} {row[4]}")
        for row in await connection.fetch(_EVENTS, ids)
    ]


_OPEN = ("dormant", "pending")
_PERFORMED = ("completed", "discarded")


def _ended_once(row: asyncpg.Record) -> list[Fault]:
    where = f"{row['workflow_id']} {row['step']} {row['replay_key']}".strip()
    if row["status"] in _OPEN:
        return [Fault(Kind.NEVER, f"{where}: it is {row['status']}")]
    # Where time is over a gate may fail; that it did, its state says.
    silent = row["wait_step"] and row["state"] != "completed"
    if not row["seen"] and row["state"] in _PERFORMED and not silent:
        return [Fault(Kind.NEVER, f"{where}: nobody met that it is {row['status']}")]
    outcome = json.loads(row["outcome"])
    others = [text for text in row["seen"] if json.loads(text) != outcome]
    return [Fault(Kind.TWICE, f"{where}: {row['outcome']} and {text}") for text in others]
