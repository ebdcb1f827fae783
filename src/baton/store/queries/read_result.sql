-- Reads one named step of a job's workflow: whether it is a declared dependency, its state and its result.
SELECT
    dep.job_id = ANY (n.deps) AS declared,
    dep.state::text AS state,
    dep.result IS NOT NULL AS stored,
    (dep.result -> 'value')::text AS result
FROM /*schema.*/workflow_nodes n
JOIN /*schema.*/workflow_nodes dep ON dep.workflow_id = n.workflow_id AND dep.name = $2
WHERE n.job_id = $1
