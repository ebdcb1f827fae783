-- Where the steps of workflow $1 stand that have these names: `held` while a dependency of theirs has not settled and their
-- jobs sleep, so that more dependencies may come.
SELECT
    n.name, n.job_id, n.state::text AS state,
    n.state IS NULL AND (j.state = 'suspended') IS TRUE AND (
        (n.any_of IS NOT NULL AND n.any_of_state IS NULL) OR EXISTS (
            SELECT FROM /*schema.*/workflow_nodes d
            WHERE d.job_id = ANY (n.deps) AND d.state IS NULL AND (d.job_id = ANY (n.any_of)) IS NOT TRUE
        )
    ) AS held
FROM /*schema.*/workflow_nodes n
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
WHERE n.workflow_id = $1 AND n.name = ANY ($2::text[])
