-- A step that came later than one of the steps $1 and depends on it, without being one of them.
SELECT n.name AS step, d.name AS dependency
FROM /*schema.*/workflow_nodes d
CROSS JOIN LATERAL unnest(d.dependents || d.any_dependents) AS x (job_id)
JOIN /*schema.*/workflow_nodes n ON n.job_id = x.job_id
WHERE d.job_id = ANY ($1::bigint[]) AND n.job_id > d.job_id AND n.job_id <> ALL ($1::bigint[])
ORDER BY n.job_id, d.job_id
LIMIT 1
