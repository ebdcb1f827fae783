-- Of these workflows, the unsettled steps whose jobs have ended or vanished. A completed job is left alone for $2
-- seconds: a host that checks it right after brings its result. A time of the future is no time: the clock was set
-- back since.
SELECT n.workflow_id, n.job_id
FROM /*schema.*/workflow_nodes n
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
WHERE n.workflow_id = ANY ($1::uuid[])
AND n.state IS NULL
AND (
    j.id IS NULL
    OR j.state IN ('cancelled', 'discarded')
    OR j.state = 'completed' AND coalesce(
        j.completed_at NOT BETWEEN timezone('UTC', clock_timestamp()) - make_interval(secs => $2)
            AND timezone('UTC', clock_timestamp()) + make_interval(secs => $2),
        true
    )
)
ORDER BY n.workflow_id, n.job_id
