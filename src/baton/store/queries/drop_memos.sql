-- Forgets what the steps $1 noted.
DELETE FROM /*schema.*/workflow_memos m USING unnest($1::bigint[]) AS o (job_id) WHERE m.job_id = o.job_id
