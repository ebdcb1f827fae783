-- Adds new steps to those that depend on steps of their workflow: $2 on $1, as an alternative where $3.
UPDATE /*schema.*/workflow_nodes n
SET dependents = n.dependents || coalesce(x.dependents, '{}'),
    any_dependents = CASE WHEN x.any_dependents IS NULL THEN n.any_dependents ELSE n.any_dependents || x.any_dependents END
FROM (
    SELECT
        e.job_id,
        array_agg(e.dependent ORDER BY e.dependent) FILTER (WHERE NOT e.alternative) AS dependents,
        array_agg(e.dependent ORDER BY e.dependent) FILTER (WHERE e.alternative) AS any_dependents
    FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS e (job_id, dependent, alternative)
    GROUP BY e.job_id
) x
WHERE n.job_id = x.job_id
