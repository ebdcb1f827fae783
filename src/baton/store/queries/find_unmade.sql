-- The names of steps among $1 whose job's row is gone and cannot be made again, at most ten: no copy was kept, or another
-- job has the id.
SELECT n.name
FROM /*schema.*/workflow_nodes n
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
WHERE n.job_id = ANY ($1::bigint[])
AND CASE
    WHEN j.id IS NOT NULL THEN (j.meta ->> 'workflow_id' = n.workflow_id::text) IS NOT TRUE
    ELSE NOT EXISTS (
        SELECT FROM /*schema.*/workflow_deleted_jobs k
        WHERE k.job_id = n.job_id AND k.workflow_id = n.workflow_id
    )
END
ORDER BY n.job_id
LIMIT 10
