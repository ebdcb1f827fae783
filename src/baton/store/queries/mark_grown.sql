-- Notes of steps $1 that the steps $2 had added them.
UPDATE /*schema.*/workflow_nodes n
SET grown_by = o.grown_by
FROM unnest($1::bigint[], $2::bigint[]) AS o (job_id, grown_by)
WHERE n.job_id = o.job_id
