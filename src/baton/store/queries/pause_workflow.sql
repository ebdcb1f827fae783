-- Pauses a workflow: each step that has not settled counts one more in `pending`, so that nothing releases it. The
-- caller holds the workflow's lock.
WITH paused AS (
    UPDATE /*schema.*/workflows w
    SET paused_at = clock_timestamp(), pause_reason = $2
    WHERE w.id = $1
    RETURNING w.id
)
UPDATE /*schema.*/workflow_nodes n
SET pending = n.pending + 1
FROM paused p
WHERE n.workflow_id = p.id AND n.state IS NULL
