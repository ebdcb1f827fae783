-- The workers of the steps $2 of workflow $1, by name; of deleted jobs as they were kept.
SELECT n.name, n.job_id, coalesce(j.worker, k.worker) AS worker
FROM /*schema.*/workflow_nodes n
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
LEFT JOIN /*schema.*/workflow_deleted_jobs k ON k.job_id = n.job_id AND k.workflow_id = n.workflow_id
WHERE n.workflow_id = $1 AND n.name = ANY ($2::text[])
