-- The steps that wait for steps $1 and are none of them, which are there longer than these.
SELECT DISTINCT x.job_id, n.state IS NULL AS unsettled
FROM /*schema.*/workflow_nodes d
CROSS JOIN LATERAL unnest(d.dependents) AS x (job_id)
JOIN /*schema.*/workflow_nodes n ON n.job_id = x.job_id
WHERE d.job_id = ANY ($1::bigint[]) AND n.job_id <> ALL ($1::bigint[])
