-- Counts what the reset steps $1 wait for: dependencies that have not settled, the events of a wait step, and, with
-- $2 = 1, the end of the workflow's pause. Returns the wait steps that wait for events only.
WITH counted AS (
    UPDATE /*schema.*/workflow_nodes n
    SET pending = w.pending, released_at = CASE WHEN w.pending = 0 THEN clock_timestamp() END
    FROM (
        SELECT
            o.job_id,
            g.wait_step::integer + $2::integer + (
                SELECT count(*) FROM /*schema.*/workflow_nodes d WHERE d.job_id = ANY (r.deps) AND d.state IS NULL
            )::integer AS pending,
            g.wait_step
        FROM unnest($1::bigint[]) AS o (job_id)
        JOIN /*schema.*/workflow_nodes r ON r.job_id = o.job_id
        CROSS JOIN LATERAL (
            SELECT EXISTS (
                SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = o.job_id AND g.wait_step
            ) AS wait_step
        ) g
    ) w
    WHERE n.job_id = w.job_id
    RETURNING n.job_id, n.pending, w.wait_step
)
SELECT c.job_id FROM counted c WHERE c.wait_step AND c.pending = 1 ORDER BY c.job_id
