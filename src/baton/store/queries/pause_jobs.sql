-- Puts the jobs of a workflow to sleep that could be claimed, now or later, each with its time; tells how many. The
-- caller holds the workflow's lock. What is given back in this very moment stays, and is held when it is claimed. So
-- does what has something left to wait for, and was moved by hand or given back: nothing may be to come that would wake
-- it.
-- The rows are locked in id order first, as wherever several jobs are locked.
WITH locked AS MATERIALIZED (
    SELECT j.id
    FROM /*schema.*/workflow_nodes n
    JOIN /*oban.*/oban_jobs j ON j.id = n.job_id AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
    WHERE n.workflow_id = $1 AND n.state IS NULL AND n.pending = 0 AND (j.state IN ('available', 'scheduled', 'retryable')) IS TRUE
    ORDER BY j.id
    FOR NO KEY UPDATE OF j
),
asleep AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = 'suspended'
    FROM locked l
    WHERE j.id = l.id
    RETURNING j.id
)
SELECT count(*)::integer AS suspended FROM asleep
