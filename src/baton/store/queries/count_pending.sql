-- Counts what the reset steps $1 wait for: dependencies that have not settled, the events of a wait step, and, with
-- $2 = 1, the end of the workflow's pause. Returns the wait steps that wait for events only.
WITH counted AS (
    UPDATE /*schema.*/workflow_nodes n
    SET pending = w.pending, released_at = CASE WHEN w.pending = 0 THEN clock_timestamp() END
    FROM (
        SELECT
            o.job_id,
            r.waits::integer + $2::integer + (
                SELECT count(*) FROM /*schema.*/workflow_nodes d WHERE d.job_id = ANY (r.deps) AND d.state IS NULL
            )::integer AS pending
        FROM unnest($1::bigint[]) AS o (job_id)
        JOIN /*schema.*/workflow_nodes r ON r.job_id = o.job_id
    ) w
    WHERE n.job_id = w.job_id
    RETURNING n.job_id, n.pending, n.waits
)
SELECT c.job_id FROM counted c WHERE c.waits AND c.pending = 1 ORDER BY c.job_id
