-- The steps that have not settled and that depend on a settled one among $1; some may be among $1.
-- OFFSET 0 has each row found by its key, one by one: where many steps of other workflows have not settled, a join that
-- began with those went through $1 for each of their dependencies.
SELECT DISTINCT x.job_id
FROM unnest($1::bigint[]) AS o (job_id)
CROSS JOIN LATERAL (
    SELECT r.dependents || r.any_dependents AS dependents
    FROM /*schema.*/workflow_nodes r
    WHERE r.job_id = o.job_id AND r.state IS NOT NULL
    OFFSET 0
) n
CROSS JOIN LATERAL unnest(n.dependents) AS d (job_id)
CROSS JOIN LATERAL (
    SELECT r.job_id FROM /*schema.*/workflow_nodes r WHERE r.job_id = d.job_id AND r.state IS NULL OFFSET 0
) x
