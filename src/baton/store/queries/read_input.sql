-- Reads the input of the workflow of job $1.
SELECT w.input::text AS input
FROM /*schema.*/workflow_nodes n
JOIN /*schema.*/workflows w ON w.id = n.workflow_id
WHERE n.job_id = $1
