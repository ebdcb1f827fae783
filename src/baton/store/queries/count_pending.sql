-- Counts what the reset steps $1 wait for: dependencies that have not settled, alternatives as one, a condition or the
-- events of a wait step, and, with $2 = 1, the end of the workflow's pause. Returns the steps that wait for a condition
-- or events only.
WITH counted AS (
    UPDATE /*schema.*/workflow_nodes n
    SET pending = w.pending,
        any_of_state = w.any_of_state,
        released_at = CASE WHEN w.pending = 0 THEN clock_timestamp() END
    FROM (
        SELECT
            o.job_id,
            g.opens::integer + $2::integer + (
                SELECT count(*)
                FROM /*schema.*/workflow_nodes d
                WHERE d.job_id = ANY (r.deps) AND d.state IS NULL AND (d.job_id = ANY (r.any_of)) IS NOT TRUE
            )::integer + (r.any_of IS NOT NULL AND a.state IS NULL)::integer AS pending,
            a.state::/*schema.*/step_state AS any_of_state,
            g.opens
        FROM unnest($1::bigint[]) AS o (job_id)
        JOIN /*schema.*/workflow_nodes r ON r.job_id = o.job_id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN r.any_of IS NOT NULL THEN /*schema.*/baton_any_of(r.job_id, '{}') END AS state
        ) a
        CROSS JOIN LATERAL (
            SELECT r.undecided OR EXISTS (
                SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = o.job_id AND g.wait_step
            ) AS opens
        ) g
    ) w
    WHERE n.job_id = w.job_id
    RETURNING n.job_id, n.pending, w.opens
)
SELECT c.job_id FROM counted c WHERE c.opens AND c.pending = 1 ORDER BY c.job_id
