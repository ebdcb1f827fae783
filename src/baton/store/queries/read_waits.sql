-- Reads the waits a step has come to before: what for, and how they ended; with $2, also the traces of
-- the events that they received.
SELECT
    g.replay_key, g.names, g.need,
    CASE WHEN g.status IN ('completed', 'timeout', 'cancelled')
        THEN /*schema.*/baton_wait_outcome(g.id)::text END AS outcome,
    CASE WHEN $2 AND g.status <> 'pending' THEN ARRAY(
        SELECT e.trace
        FROM /*schema.*/workflow_wait_members m
        JOIN /*schema.*/workflow_events e ON e.id = m.event_id
        WHERE m.group_id = g.id AND m.state = 'received' AND e.trace IS NOT NULL
        ORDER BY e.id
    ) END AS traces
FROM /*schema.*/workflow_wait_groups g
WHERE g.job_id = $1 AND NOT g.wait_step
