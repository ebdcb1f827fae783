-- Has steps that are held wait for new steps too: $1 for $2.
UPDATE /*schema.*/workflow_nodes n
SET deps = n.deps || x.deps,
    pending = n.pending + cardinality(x.deps)
FROM (
    SELECT e.job_id, array_agg(e.dependency ORDER BY e.dependency) AS deps
    FROM unnest($1::bigint[], $2::bigint[]) AS e (job_id, dependency)
    GROUP BY e.job_id
) x
WHERE n.job_id = x.job_id
