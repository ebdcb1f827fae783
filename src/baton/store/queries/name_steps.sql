-- The names of steps by their job ids.
SELECT n.name FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY ($1::bigint[]) ORDER BY n.job_id
