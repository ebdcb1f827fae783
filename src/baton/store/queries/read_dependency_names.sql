-- The names of a job's dependencies, in declared order.
SELECT dep.name
FROM /*schema.*/workflow_nodes n
CROSS JOIN LATERAL unnest(n.deps) WITH ORDINALITY AS d (job_id, position)
JOIN /*schema.*/workflow_nodes dep ON dep.job_id = d.job_id
WHERE n.job_id = $1
ORDER BY d.position
