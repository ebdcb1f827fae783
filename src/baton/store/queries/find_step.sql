-- Reads how a step of a workflow has settled; the caller holds the workflow's lock.
SELECT n.job_id, n.state::text AS settled
FROM /*schema.*/workflow_nodes n
WHERE n.workflow_id = $1 AND n.name = $2
