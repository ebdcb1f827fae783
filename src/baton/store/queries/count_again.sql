-- The steps that have not settled count those among $1 again that had, and on which they depend.
UPDATE /*schema.*/workflow_nodes x
SET pending = x.pending + g.settled, released_at = NULL
FROM (
    SELECT d.job_id, count(*)::integer AS settled
    FROM unnest($1::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = o.job_id AND n.state IS NOT NULL
    CROSS JOIN LATERAL unnest(n.dependents) AS d (job_id)
    GROUP BY d.job_id
) g
WHERE x.job_id = g.job_id AND x.state IS NULL
