-- Notes in the steps $1 which of the steps $2 wait for them. A statement of its own: a step may be among both.
UPDATE /*schema.*/workflow_nodes g
SET dependents = g.dependents || x.dependents
FROM (
    SELECT d.job_id AS grower, array_agg(h.job_id ORDER BY h.job_id) AS dependents
    FROM unnest($2::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes h ON h.job_id = o.job_id
    CROSS JOIN LATERAL unnest(h.deps) AS d (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = d.job_id
    WHERE d.job_id = ANY ($1::bigint[]) AND h.job_id <> ALL (n.dependents)
    AND (d.job_id = ANY (h.any_of)) IS NOT TRUE
    GROUP BY d.job_id
) x
WHERE g.job_id = x.grower
