-- Deletes the steps $1.
DELETE FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY ($1::bigint[])
