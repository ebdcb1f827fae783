-- Completes the job of a step by hand; the caller holds its lock. Of an attempt that runs the claim is moved by the
-- smallest step there is: what it comes to is late then, and not the echo of this end.
UPDATE /*oban.*/oban_jobs j
SET state = 'completed',
    completed_at = timezone('UTC', clock_timestamp()),
    attempted_at = CASE
        WHEN j.state = 'executing' THEN j.attempted_at + interval '1 microsecond'
        ELSE j.attempted_at
    END,
    cancelled_at = NULL,
    discarded_at = NULL
FROM /*schema.*/workflow_nodes n
WHERE j.id = $1 AND n.job_id = j.id
AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
