-- The names of the steps of a workflow, at most $2 of them, in the order they were added.
SELECT n.name
FROM /*schema.*/workflow_nodes n
WHERE n.workflow_id = $1
ORDER BY n.job_id
LIMIT $2::integer
