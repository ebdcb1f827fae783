-- Reads the steps of a workflow that have not settled; the caller holds its lock.
SELECT n.job_id, n.name
FROM /*schema.*/workflow_nodes n
WHERE n.workflow_id = $1 AND n.state IS NULL
ORDER BY n.job_id
