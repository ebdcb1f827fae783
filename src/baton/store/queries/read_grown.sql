-- The steps of workflow $1 that others added while they ran, with these.
SELECT n.job_id, n.grown_by FROM /*schema.*/workflow_nodes n WHERE n.workflow_id = $1 AND n.grown_by IS NOT NULL
