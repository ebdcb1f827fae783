-- Deletes the jobs $2 of workflow $1.
DELETE FROM /*oban.*/oban_jobs j
WHERE j.id = ANY ($2::bigint[]) AND (j.meta ->> 'workflow_id' = $1::uuid::text) IS TRUE
