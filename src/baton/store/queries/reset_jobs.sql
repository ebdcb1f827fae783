-- Makes the jobs $1 of workflow $3 new again, runnable now or at their own time where nothing is waited for; the jobs
-- $2, which depend on them and were ready, go back to sleep unless they run. Attempts and errors go on, with a full
-- budget on top: what max_attempts had over the attempt at the last retry. $4 tells whether to notify.
--
-- The own time of one that was claimed before has come: one that is still to come is when a former attempt would have
-- been made again, whether it waits for that, sleeps while the workflow is paused, or was cancelled meanwhile.
WITH changed AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = (CASE
            WHEN n.pending > 0 THEN 'suspended'
            WHEN j.attempted_at IS NOT NULL
                OR j.scheduled_at <= greatest(timezone('UTC', clock_timestamp()), j.inserted_at)
                THEN 'available'
            ELSE 'scheduled'
        END)::/*oban.*/oban_job_state,
        scheduled_at = CASE
            WHEN j.attempted_at IS NOT NULL THEN least(j.scheduled_at, timezone('UTC', clock_timestamp()))
            ELSE j.scheduled_at
        END,
        max_attempts = least(j.attempt + j.max_attempts - coalesce((
            SELECT h.attempt
            FROM /*schema.*/workflow_step_history h
            WHERE h.workflow_id = $3 AND h.job_id = j.id AND h.attempt IS NOT NULL
            -- What this transaction wrote is of the attempt that it ends.
            AND h.xmin <> pg_current_xact_id()::xid
            ORDER BY h.id DESC
            LIMIT 1
        ), 0), 32767),
        completed_at = NULL,
        cancelled_at = NULL,
        discarded_at = NULL
    FROM unnest($1::bigint[]) AS o (id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
    WHERE j.id = o.id AND (j.meta ->> 'workflow_id' = $3::uuid::text) IS TRUE
    RETURNING j.id, j.queue, j.state
),
asleep AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = 'suspended'
    FROM unnest($2::bigint[]) AS o (id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
    WHERE j.id = o.id AND (j.meta ->> 'workflow_id' = $3::uuid::text) IS TRUE
    AND (j.state IN ('available', 'scheduled', 'retryable')) IS TRUE
    -- One of its alternatives that stays may be enough.
    AND n.pending > 0
)
SELECT
    q.queue,
    CASE WHEN $4::boolean THEN /*schema.*/baton_notify_jobs(q.queue) END AS notified
FROM (SELECT DISTINCT c.queue FROM changed c WHERE c.state = 'available') q
