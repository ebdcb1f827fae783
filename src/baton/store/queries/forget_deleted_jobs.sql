-- Forgets deleted jobs that never were.
DELETE FROM /*schema.*/workflow_deleted_jobs k USING unnest($1::bigint[]) AS o (job_id) WHERE k.job_id = o.job_id
