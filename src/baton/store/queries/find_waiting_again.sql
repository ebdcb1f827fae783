-- The steps that have not settled and that depend on a settled one among $1; some may be among $1.
SELECT DISTINCT x.job_id
FROM unnest($1::bigint[]) AS o (job_id)
JOIN /*schema.*/workflow_nodes n ON n.job_id = o.job_id AND n.state IS NOT NULL
CROSS JOIN LATERAL unnest(n.dependents || n.any_dependents) AS d (job_id)
JOIN /*schema.*/workflow_nodes x ON x.job_id = d.job_id AND x.state IS NULL
