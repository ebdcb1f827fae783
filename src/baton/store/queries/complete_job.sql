-- Completes the job of a step by hand; the caller holds its lock. The claim of its last attempt is moved by the smallest
-- step there is: what that attempt still comes to is late then, and not the echo of this end. It may run on although the
-- job does not: a retry has interrupted it.
UPDATE /*oban.*/oban_jobs j
SET state = 'completed',
    completed_at = timezone('UTC', clock_timestamp()),
    attempted_at = j.attempted_at + interval '1 microsecond',
    cancelled_at = NULL,
    discarded_at = NULL
FROM /*schema.*/workflow_nodes n
WHERE j.id = $1 AND n.job_id = j.id
AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
