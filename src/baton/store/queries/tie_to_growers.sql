-- Has the steps $3 wait for those that had added steps $1, which are taken back, each of $2, instead of for these.
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
