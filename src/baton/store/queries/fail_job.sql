-- Ends the job of a wait step as cancelled or discarded; the caller holds the workflow's lock.
UPDATE /*oban.*/oban_jobs j
SET state = $2::text::/*oban.*/oban_job_state,
    cancelled_at = CASE WHEN $2 = 'cancelled' THEN timezone('UTC', clock_timestamp()) ELSE j.cancelled_at END,
    discarded_at = CASE WHEN $2 = 'discarded' THEN timezone('UTC', clock_timestamp()) ELSE j.discarded_at END,
    errors = j.errors || /*schema.*/baton_job_error(j.attempt, $3::text)
FROM /*schema.*/workflow_nodes n
WHERE j.id = $1 AND n.job_id = j.id
AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
AND (j.state NOT IN ('completed', 'cancelled', 'discarded')) IS TRUE
RETURNING
    j.id, j.worker, j.queue, j.args::text AS args, j.meta::text AS meta,
    j.attempt::integer AS attempt, j.max_attempts::integer AS max_attempts,
    n.model, n.debug
