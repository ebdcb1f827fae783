"""What must hold of the tables at any moment at which nothing is half-way, as one query."""

from __future__ import annotations

from typing import Any

import asyncpg

_QUERY = """
WITH steps AS (
    SELECT n.*, w.name AS label, j.state AS job_state, j.id AS job,
        (w.paused_at IS NOT NULL)::integer AS paused
    FROM baton.workflow_nodes n
    JOIN baton.workflows w ON w.id = n.workflow_id
    -- Another job that has the id of a node is not the node's.
    LEFT JOIN baton.oban_jobs j ON j.id = n.job_id
        AND j.meta ->> 'workflow_id' = n.workflow_id::text AND j.meta ->> 'workflow_name' = n.name
),
-- Of several alternatives one is enough; together they are one dependency.
alternatives AS (
    SELECT
        s.job_id,
        CASE
            WHEN bool_or(
                d.state = 'completed' OR (d.state = 'cancelled' AND s.ignore_cancelled)
                OR (d.state = 'discarded' AND s.ignore_discarded)
            ) THEN 'completed'
            WHEN bool_or(d.state IS NULL) THEN NULL
            WHEN bool_or(d.state = 'skipped') THEN 'skipped'
            ELSE 'dooms'
        END AS state
    FROM steps s, unnest(s.any_of) AS dep (job_id)
    JOIN baton.workflow_nodes d ON d.job_id = dep.job_id
    GROUP BY s.job_id
),
dependencies AS (
    SELECT s.job_id, d.state::text AS state
    FROM steps s, unnest(s.deps) AS dep (job_id)
    JOIN baton.workflow_nodes d ON d.job_id = dep.job_id
    WHERE (dep.job_id = ANY (s.any_of)) IS NOT TRUE
    UNION ALL
    SELECT a.job_id, a.state FROM alternatives a
),
waits AS (
    SELECT
        s.job_id,
        count(*) FILTER (WHERE d.state IS NULL) AS unsettled,
        bool_and(d.state IS NOT DISTINCT FROM 'skipped') AND NOT s.run_when_skipped AS unneeded,
        bool_or(
            (d.state = 'cancelled' AND NOT s.ignore_cancelled)
            OR (d.state = 'discarded' AND NOT s.ignore_discarded)
            OR d.state = 'dooms'
        ) AS doomed
    FROM steps s
    JOIN dependencies d ON d.job_id = s.job_id
    GROUP BY s.job_id, s.run_when_skipped
),
open_waits AS (
    SELECT g.job_id, count(*) AS open
    FROM baton.workflow_wait_groups g
    WHERE g.status = 'pending' OR (g.wait_step AND g.status = 'dormant')
    GROUP BY g.job_id
),
counts AS (
    SELECT
        s.workflow_id,
        count(*) AS total,
        count(*) FILTER (WHERE s.state IS NULL) AS outstanding,
        count(*) FILTER (WHERE s.state IN ('cancelled', 'discarded')) AS failed,
        count(*) FILTER (WHERE s.state = 'skipped') AS skipped,
        count(*) FILTER (WHERE s.state = 'discarded') AS discarded,
        coalesce(
            array_agg(s.name ORDER BY s.job_id)
                FILTER (WHERE s.state IN ('cancelled', 'discarded')),
            '{}'
        ) AS failed_steps,
        coalesce(
            array_agg(s.name ORDER BY s.job_id) FILTER (WHERE s.state = 'skipped'), '{}'
        ) AS skipped_steps
    FROM steps s
    GROUP BY s.workflow_id
)
SELECT format('workflow %s: counters %s/%s/%s, steps %s/%s/%s', w.id, w.outstanding, w.failed,
    w.skipped, c.outstanding, c.failed, c.skipped)
FROM baton.workflows w
LEFT JOIN counts c ON c.workflow_id = w.id
WHERE (w.steps, w.outstanding, w.failed, w.skipped)
    IS DISTINCT FROM (c.total, c.outstanding, c.failed, c.skipped)
OR (w.finished_at IS NULL) <> (w.outstanding > 0)
UNION ALL
SELECT format('workflow %s: %s steps outstanding, completion %s', w.id, w.outstanding, f)
FROM baton.workflows w
LEFT JOIN baton.workflow_completions f ON f.workflow_id = w.id AND f.run = w.run
WHERE (w.outstanding = 0) <> (f.workflow_id IS NOT NULL)
UNION ALL
SELECT format('workflow %s: completion %s, steps %s', c.workflow_id, f, c)
FROM baton.workflow_completions f
JOIN baton.workflows w ON w.id = f.workflow_id AND w.run = f.run
JOIN counts c ON c.workflow_id = f.workflow_id
WHERE (f.total_count, f.failed_count, f.failed_steps, f.skipped_steps)
    <> (c.total, c.failed, c.failed_steps, c.skipped_steps)
OR f.outcome <> CASE WHEN c.failed = 0 THEN 'completed' WHEN c.discarded > 0 THEN 'failed'
    ELSE 'cancelled' END
UNION ALL
SELECT format('step %s: settled %s, its job is %s', s.job_id, s.state, s.job_state)
FROM steps s
WHERE (s.state IS NULL AND s.job_state IN ('completed', 'cancelled', 'discarded'))
OR (s.state IS NOT NULL
    AND s.job_state::text <> CASE s.state WHEN 'skipped' THEN 'cancelled' ELSE s.state::text END)
UNION ALL
SELECT format('step %s: pending %s, %s dependencies unsettled', s.job_id, s.pending, w.unsettled)
FROM steps s
LEFT JOIN waits w ON w.job_id = s.job_id
LEFT JOIN open_waits o ON o.job_id = s.job_id
WHERE s.state IS NULL AND w.doomed IS NOT TRUE AND w.unneeded IS NOT TRUE
AND s.pending <> coalesce(w.unsettled, 0)
    + greatest(coalesce(o.open, 0), s.undecided::integer) + s.paused
UNION ALL
SELECT format('step %s: alternatives %s, noted as %s', s.job_id, a.state, s.any_of_state)
FROM steps s
JOIN alternatives a ON a.job_id = s.job_id
WHERE s.state IS NULL AND s.any_of_state::text IS DISTINCT FROM a.state
AND a.state IS DISTINCT FROM 'dooms'
UNION ALL
SELECT format('step %s depends on %s, and only one of them says so', e.job_id, e.dependency)
FROM (
    SELECT n.job_id, d.job_id AS dependency, (d.job_id = ANY (n.any_of)) IS TRUE AS alternative
    FROM steps n, unnest(n.deps) AS d (job_id)
    EXCEPT
    SELECT b.job_id, n.job_id, b.alternative
    FROM steps n, LATERAL (
        SELECT d.job_id, false AS alternative FROM unnest(n.dependents) AS d (job_id)
        UNION ALL
        SELECT d.job_id, true FROM unnest(n.any_dependents) AS d (job_id)
    ) b
) e
UNION ALL
SELECT format('step %s is said to depend on %s, or twice', e.job_id, e.dependency)
FROM (
    SELECT b.job_id, n.job_id AS dependency, b.alternative
    FROM steps n, LATERAL (
        SELECT d.job_id, false AS alternative FROM unnest(n.dependents) AS d (job_id)
        UNION ALL
        SELECT d.job_id, true FROM unnest(n.any_dependents) AS d (job_id)
    ) b
    EXCEPT ALL
    SELECT n.job_id, d.job_id, (d.job_id = ANY (n.any_of)) IS TRUE
    FROM steps n, unnest(n.deps) AS d (job_id)
) e
UNION ALL
SELECT format('step %s: suspended for ever', s.job_id)
FROM steps s
LEFT JOIN waits w ON w.job_id = s.job_id
LEFT JOIN open_waits o ON o.job_id = s.job_id
WHERE s.job_state = 'suspended' AND (
    (coalesce(w.unsettled, o.open, 0) = 0 OR w.doomed) AND coalesce(o.open, 0) = 0 AND s.paused = 0
    OR w.unneeded
)
UNION ALL
SELECT format('step %s: completed before its dependencies, or in spite of them', s.job_id)
FROM steps s
JOIN waits w ON w.job_id = s.job_id
WHERE s.state = 'completed'
AND (w.unsettled > 0 OR w.doomed OR w.unneeded OR (
    baton.baton_unmet(s.job_id) IS NOT NULL
    -- It was decided on other results, before a retry.
    AND NOT EXISTS (
        SELECT FROM baton.workflow_step_history h WHERE h.job_id = ANY (s.deps)
    )
))
-- Somebody may have settled it by hand.
AND NOT EXISTS (
    SELECT FROM baton.baton_actions a
    JOIN baton.workflows w ON w.id = s.workflow_id
    WHERE a.workflow_id IN (w.id, w.forked_from) AND a.step = s.name AND a.action = 'complete_step'
)
UNION ALL
SELECT format('step %s: settled %s with result %s', s.job_id, s.state, s.result)
FROM steps s
WHERE (s.state IS NOT DISTINCT FROM 'completed') <> (s.result IS NOT NULL)
UNION ALL
SELECT format('group %s of step %s is %s: its step is settled %s, its job %s, unsettled above: %s',
    g.id, g.job_id, g.status, s.state, s.job_state, w.unsettled)
FROM baton.workflow_wait_groups g
LEFT JOIN steps s ON s.job_id = g.job_id
LEFT JOIN waits w ON w.job_id = g.job_id
WHERE (g.status = 'pending' AND (s.state IS NOT NULL OR s.job_state <> 'suspended'))
OR (g.status = 'dormant' AND (s.state IS NOT NULL OR coalesce(w.unsettled, 0) + s.paused = 0))
OR (g.wait_step AND g.status = 'completed' AND s.state IS DISTINCT FROM 'completed')
OR (g.wait_step AND g.status IN ('timeout', 'cancelled') AND s.state IS NULL)
OR (g.status = 'pending') <> (g.armed_at IS NOT NULL AND g.settled_at IS NULL)
UNION ALL
SELECT format('group %s is %s with %s of %s events', g.id, g.status, m.received, g.need)
FROM baton.workflow_wait_groups g
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE m.state = 'received') AS received,
        count(*) FILTER (WHERE m.state = 'waiting') AS waiting
    FROM baton.workflow_wait_members m
    WHERE m.group_id = g.id
) m
WHERE (g.status = 'completed') <> (m.received >= g.need) AND g.status <> 'dormant'
-- By a key an event reaches a gate before it is armed; then what is above may fail.
AND NOT (g.status = 'cancelled' AND g.armed_at IS NULL)
-- A fork takes over how a wait has ended, and no event.
AND NOT (m.received = 0 AND EXISTS (
    SELECT FROM baton.workflows w WHERE w.id = g.workflow_id AND w.forked_from IS NOT NULL
))
OR (g.status IN ('dormant', 'pending')) < (m.waiting > 0)
OR m.received > g.need
UNION ALL
SELECT format('event %s is %s by group %s, whose member %s has %s',
    e.id, e.state, e.group_id, m.name, m.event_id)
FROM baton.workflow_events e
LEFT JOIN baton.workflow_wait_members m ON m.event_id = e.id
WHERE e.workflow_id IS NOT NULL
AND ((e.state = 'taken') <> (m.event_id IS NOT NULL) OR e.group_id IS DISTINCT FROM m.group_id)
UNION ALL
SELECT format('member %s of group %s is %s with event %s', m.name, m.group_id, m.state, m.event_id)
FROM baton.workflow_wait_members m
WHERE (m.state = 'received') <> (m.event_id IS NOT NULL)
UNION ALL
SELECT format('group %s: event %s is kept, sent before its deadline', g.id, e.id)
FROM baton.workflow_wait_groups g
JOIN baton.workflow_wait_members m ON m.group_id = g.id AND m.state = 'waiting'
JOIN baton.workflow_events e ON e.workflow_id = g.workflow_id AND e.name = m.name
WHERE g.status = 'pending' AND e.state = 'kept' AND g.payload_schema IS NULL
AND (g.deadline IS NULL OR e.sent_at <= g.deadline) AND coalesce(g.wake_at > now(), true)
UNION ALL
SELECT format('group %s: event %s is kept for its key', g.id, e.id)
FROM baton.workflow_wait_groups g
JOIN baton.workflow_wait_members m ON m.group_id = g.id AND m.state = 'waiting'
JOIN baton.workflow_events e ON e.correlation_key = g.correlation_key AND e.name = m.name
WHERE g.status = 'pending' AND e.state = 'kept' AND g.payload_schema IS NULL
AND (g.deadline IS NULL OR e.sent_at <= g.deadline)
-- Whoever passed it over looks again soon.
AND coalesce(g.wake_at > now() + interval '2 s', true)
UNION ALL
SELECT format('event %s by a key is %s with %s receivers, %s waits have it', e.id, e.state,
    e.receivers, m.having)
FROM baton.workflow_events e
CROSS JOIN LATERAL (
    SELECT count(*) AS having FROM baton.workflow_wait_members m WHERE m.event_id = e.id
) m
WHERE e.correlation_key IS NOT NULL
-- Workflows that were pruned took what they had received with them.
AND (m.having > e.receivers OR (e.state = 'kept' AND e.receivers > 0)
    OR (e.state = 'taken' AND e.receivers <> 1) OR (e.state = 'given' AND e.receivers = 0))
"""


async def violations(connection: asyncpg.Connection[Any]) -> list[str]:
    """Every row that breaks a rule, as text; empty when all is well."""
    return [row[0] for row in await connection.fetch(_QUERY)]
