-- Locks the workflows of the given jobs, in id order: the first statement of every change of a workflow.
SELECT w.id
FROM /*schema.*/workflows w
WHERE w.id = ANY (ARRAY(
    SELECT n.workflow_id FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY ($1::bigint[])
))
ORDER BY w.id
FOR NO KEY UPDATE
