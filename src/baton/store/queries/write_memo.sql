-- Notes a value for a step, unless one is noted already; returns the one that counts.
WITH written AS (
    INSERT INTO /*schema.*/workflow_memos (job_id, key, workflow_id, value)
    VALUES ($1, $2, $3, $4::text::jsonb)
    ON CONFLICT DO NOTHING
    RETURNING value
)
SELECT w.value::text AS value FROM written w
UNION ALL
SELECT m.value::text FROM /*schema.*/workflow_memos m WHERE m.job_id = $1 AND m.key = $2
LIMIT 1
