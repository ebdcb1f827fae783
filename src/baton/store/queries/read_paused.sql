-- Whether the workflow of a job is paused.
SELECT w.paused_at IS NOT NULL AS paused
FROM /*schema.*/workflow_nodes n
JOIN /*schema.*/workflows w ON w.id = n.workflow_id
WHERE n.job_id = $1
