-- Where the steps of workflow $1 stand that have these names: whether a dependency of theirs has not settled (`waits`),
-- and whether their jobs sleep, so that more dependencies may come. $3 is the step that adds them, if one does: it, or who
-- had added it, may be one of their alternatives.
WITH RECURSIVE growers (job_id) AS (
    SELECT $3::bigint
    UNION
    SELECT n.grown_by
    FROM growers g
    JOIN /*schema.*/workflow_nodes n ON n.job_id = g.job_id
    WHERE n.grown_by IS NOT NULL
)
SELECT
    n.name, n.job_id, n.state::text AS state,
    (j.state = 'suspended') IS TRUE AS sleeps,
    n.state IS NULL AND (
        (n.any_of IS NOT NULL AND n.any_of_state IS NULL) OR EXISTS (
            SELECT FROM /*schema.*/workflow_nodes d
            WHERE d.job_id = ANY (n.deps) AND d.state IS NULL AND (d.job_id = ANY (n.any_of)) IS NOT TRUE
        )
    ) AS waits,
    coalesce(n.any_of && ARRAY(SELECT g.job_id FROM growers g), false) AS alternative
FROM /*schema.*/workflow_nodes n
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
WHERE n.workflow_id = $1 AND n.name = ANY ($2::text[])
