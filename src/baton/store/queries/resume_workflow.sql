-- Ends the pause of a workflow: each step that has not settled counts one less. Returns the steps that wait for nothing
-- any more, and those whose conditions are decided, or whose waits begin, now. The caller holds the workflow's lock.
WITH resumed AS (
    UPDATE /*schema.*/workflows w
    SET paused_at = NULL, pause_reason = NULL
    WHERE w.id = $1
    RETURNING w.id
),
counted AS (
    UPDATE /*schema.*/workflow_nodes n
    SET pending = greatest(n.pending - 1, 0),
        released_at = CASE WHEN n.pending <= 1 THEN clock_timestamp() END
    FROM resumed r
    WHERE n.workflow_id = r.id AND n.state IS NULL
    RETURNING n.job_id, n.pending, n.waits OR n.undecided AS opens
)
SELECT
    coalesce(array_agg(c.job_id ORDER BY c.job_id) FILTER (WHERE c.pending = 0), '{}') AS ready,
    coalesce(array_agg(c.job_id ORDER BY c.job_id) FILTER (WHERE c.opens AND c.pending = 1), '{}') AS opened
FROM counted c
