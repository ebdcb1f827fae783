-- Locks the jobs of nodes in id order and reads their states; under the workflow's lock this makes a cascade's reading
-- final. Another job that has the id of a node is not the node's: that one is gone.
SELECT j.id, j.state::text AS state
FROM /*oban.*/oban_jobs j
JOIN /*schema.*/workflow_nodes n ON n.job_id = j.id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
WHERE j.id = ANY ($1::bigint[])
ORDER BY j.id
FOR NO KEY UPDATE OF j
