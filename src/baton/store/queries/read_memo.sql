-- Reads what a step has noted under a key.
SELECT m.value::text AS value FROM /*schema.*/workflow_memos m WHERE m.job_id = $1 AND m.key = $2
