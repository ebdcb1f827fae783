-- Reads the stored results of all dependencies of a job, in declared order.
SELECT dep.name, dep.model, (dep.result -> 'value')::text AS result
FROM /*schema.*/workflow_nodes n
CROSS JOIN LATERAL unnest(n.deps) WITH ORDINALITY AS d (job_id, position)
JOIN /*schema.*/workflow_nodes dep ON dep.job_id = d.job_id
WHERE n.job_id = $1 AND dep.result IS NOT NULL
ORDER BY d.position
