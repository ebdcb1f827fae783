-- Reads what the gate decides on: each dependency of a job in declared order, settled or not, and, once all that a
-- condition may look at have settled, why the job's is not met.
SELECT
    coalesce(dep.name, d.job_id::text) AS name,
    dep.state::text AS settled,
    j.state::text AS job_state,
    n.ignore_cancelled,
    n.ignore_discarded,
    n.run_when_skipped,
    (d.job_id = ANY (n.any_of)) IS TRUE AS alternative,
    n.unmet,
    n.undecided
FROM (
    -- Once, and not for each dependency.
    SELECT
        s.deps, s.any_of, s.undecided, s.ignore_cancelled, s.ignore_discarded, s.run_when_skipped,
        CASE WHEN s.undecided AND NOT EXISTS (
            SELECT FROM /*schema.*/workflow_nodes o
            WHERE o.job_id = ANY (s.deps) AND o.state IS NULL AND (o.job_id = ANY (s.any_of)) IS NOT TRUE
        ) THEN /*schema.*/baton_unmet(s.job_id) END AS unmet
    FROM /*schema.*/workflow_nodes s
    WHERE s.job_id = $1
    OFFSET 0
) n
CROSS JOIN LATERAL unnest(n.deps) WITH ORDINALITY AS d (job_id, position)
LEFT JOIN /*schema.*/workflow_nodes dep ON dep.job_id = d.job_id
LEFT JOIN /*oban.*/oban_jobs j ON j.id = d.job_id
    AND (j.meta ->> 'workflow_id' = dep.workflow_id::text) IS TRUE
ORDER BY d.position
