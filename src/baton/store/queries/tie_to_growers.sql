-- Has the steps $3 wait for those that had added steps $1, which are taken back, each of $2, instead of for these.
WITH held AS (
    UPDATE /*schema.*/workflow_nodes n
    SET deps = ARRAY(
        SELECT x.job_id
        FROM (
            SELECT coalesce(t.grower, d.job_id) AS job_id, min(d.n) AS n
            FROM unnest(n.deps) WITH ORDINALITY AS d (job_id, n)
            LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS t (job_id, grower) ON t.job_id = d.job_id
            GROUP BY coalesce(t.grower, d.job_id)
        ) x
        ORDER BY x.n
    )
    WHERE n.job_id = ANY ($3::bigint[])
    RETURNING n.job_id, n.deps
)
UPDATE /*schema.*/workflow_nodes g
SET dependents = g.dependents || x.dependents
FROM (
    SELECT d.job_id AS grower, array_agg(h.job_id ORDER BY h.job_id) AS dependents
    FROM held h
    CROSS JOIN LATERAL unnest(h.deps) AS d (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = d.job_id
    WHERE d.job_id = ANY ($2::bigint[]) AND h.job_id <> ALL (n.dependents)
    GROUP BY d.job_id
) x
WHERE g.job_id = x.grower
