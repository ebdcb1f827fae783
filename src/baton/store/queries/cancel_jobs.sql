-- Cancels jobs that have not finished, each with its reason; the caller holds their locks. Returns what hooks and
-- events need.
UPDATE /*oban.*/oban_jobs j
SET state = 'cancelled',
    cancelled_at = timezone('UTC', clock_timestamp()),
    errors = j.errors || /*schema.*/baton_job_error(j.attempt, o.reason)
FROM unnest($1::bigint[], $2::text[]) AS o (id, reason)
JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
WHERE j.id = o.id
AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
AND (j.state NOT IN ('completed', 'cancelled', 'discarded')) IS TRUE
RETURNING
    j.id, j.worker, j.queue, j.args::text AS args, j.meta::text AS meta,
    j.attempt::integer AS attempt, j.max_attempts::integer AS max_attempts,
    n.model, n.debug
