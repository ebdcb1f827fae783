-- Takes the steps $1 out of those that depend on others.
UPDATE /*schema.*/workflow_nodes n
SET dependents = ARRAY(
        SELECT d.job_id
        FROM unnest(n.dependents) WITH ORDINALITY AS d (job_id, n)
        WHERE d.job_id <> ALL ($1::bigint[])
        ORDER BY d.n
    ),
    any_dependents = CASE WHEN n.any_dependents IS NOT NULL THEN nullif(ARRAY(
        SELECT d.job_id
        FROM unnest(n.any_dependents) WITH ORDINALITY AS d (job_id, n)
        WHERE d.job_id <> ALL ($1::bigint[])
        ORDER BY d.n
    ), '{}') END
FROM (
    SELECT DISTINCT d.job_id
    FROM /*schema.*/workflow_nodes t
    CROSS JOIN LATERAL unnest(t.deps) AS d (job_id)
    WHERE t.job_id = ANY ($1::bigint[]) AND d.job_id <> ALL ($1::bigint[])
) x
WHERE n.job_id = x.job_id
