-- The failed dependencies that would cancel one of the steps $1 at once, and the dependencies of those that would be
-- skipped, because all were skipped and stay so.
SELECT n.name AS step, d.job_id, d.name AS dependency, d.state::text AS state
FROM unnest($1::bigint[]) AS o (job_id)
JOIN /*schema.*/workflow_nodes n ON n.job_id = o.job_id
CROSS JOIN LATERAL unnest(n.deps) AS p (job_id)
JOIN /*schema.*/workflow_nodes d ON d.job_id = p.job_id
WHERE (d.state = 'cancelled') IS TRUE AND NOT n.ignore_cancelled
OR (d.state = 'discarded') IS TRUE AND NOT n.ignore_discarded
OR (d.state = 'skipped') IS TRUE AND NOT n.run_when_skipped AND NOT EXISTS (
    SELECT FROM /*schema.*/workflow_nodes s
    WHERE s.job_id = ANY (n.deps) AND (s.state IS DISTINCT FROM 'skipped' OR s.job_id = ANY ($1::bigint[]))
)
