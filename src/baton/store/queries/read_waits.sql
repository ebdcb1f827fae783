-- Reads the waits a step has come to before: what for, and how they ended.
SELECT
    g.key, g.names, g.need,
    CASE WHEN g.status IN ('completed', 'timeout', 'cancelled')
        THEN /*schema.*/baton_wait_outcome(g.id)::text END AS outcome
FROM /*schema.*/workflow_wait_groups g
WHERE g.job_id = $1 AND NOT g.gate
