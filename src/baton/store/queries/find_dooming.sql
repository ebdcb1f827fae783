-- A step among $1, which are to be reset, that a failed dependency outside of them would cancel at once; with the
-- dependency.
SELECT n.name AS step, d.name AS dependency, d.state::text AS state
FROM /*schema.*/workflow_nodes n
CROSS JOIN LATERAL unnest(n.deps) AS p (job_id)
JOIN /*schema.*/workflow_nodes d ON d.job_id = p.job_id
WHERE n.job_id = ANY ($1::bigint[]) AND NOT (d.job_id = ANY ($1::bigint[]))
AND (
    (d.state = 'cancelled') IS TRUE AND NOT n.ignore_cancelled
    OR (d.state = 'discarded') IS TRUE AND NOT n.ignore_discarded
)
LIMIT 1
