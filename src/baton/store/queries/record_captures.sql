-- Writes what one attempt of a job captured; what was written already is not written again.
INSERT INTO /*schema.*/workflow_debug_logs (id, workflow_id, job_id, step, attempt, label, content)
SELECT c.id, $1, $2, $3, $4, c.label, c.content::jsonb
FROM unnest($5::uuid[], $6::text[], $7::text[]) AS c (id, label, content)
ON CONFLICT (id) DO NOTHING
