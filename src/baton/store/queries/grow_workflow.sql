-- Counts $2 new steps in workflow $1, which is locked and has not ended; returns what it gives their jobs.
UPDATE /*schema.*/workflows w
SET steps = w.steps + $2::integer, outstanding = w.outstanding + $2::integer
WHERE w.id = $1
RETURNING w.name AS workflow_name, w.debug, w.trace_context::text AS trace_context, w.paused_at IS NOT NULL AS paused
