-- Reads what the gate decides on: each dependency of a job in declared order, settled or not, and, once all have
-- settled, why its condition is not met.
SELECT
    coalesce(dep.name, d.job_id::text) AS name,
    dep.state::text AS settled,
    j.state::text AS job_state,
    n.ignore_cancelled,
    n.ignore_discarded,
    n.run_when_skipped,
    (d.job_id = ANY (n.any_of)) IS TRUE AS alternative,
    CASE WHEN n.undecided AND NOT EXISTS (
        SELECT FROM /*schema.*/workflow_nodes o WHERE o.job_id = ANY (n.deps) AND o.state IS NULL
    ) THEN /*schema.*/baton_unmet(n.job_id) END AS unmet
FROM /*schema.*/workflow_nodes n
CROSS JOIN LATERAL unnest(n.deps) WITH ORDINALITY AS d (job_id, position)
LEFT JOIN /*schema.*/workflow_nodes dep ON dep.job_id = d.job_id
LEFT JOIN /*oban.*/oban_jobs j ON j.id = d.job_id
    AND (j.meta ->> 'workflow_id' = dep.workflow_id::text) IS TRUE
WHERE n.job_id = $1
ORDER BY d.position
