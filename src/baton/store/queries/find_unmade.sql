-- The names of steps among $1 whose job's row is gone and was not kept either, at most ten.
SELECT n.name
FROM /*schema.*/workflow_nodes n
WHERE n.job_id = ANY ($1::bigint[])
AND NOT EXISTS (
    SELECT FROM /*oban.*/oban_jobs j
    WHERE j.id = n.job_id AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
)
AND NOT EXISTS (
    SELECT FROM /*schema.*/workflow_deleted_jobs k
    WHERE k.job_id = n.job_id AND k.workflow_id = n.workflow_id
)
ORDER BY n.job_id
LIMIT 10
