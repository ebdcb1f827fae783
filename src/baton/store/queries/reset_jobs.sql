-- Makes the jobs $1 of workflow $4 new again, those among $2 runnable, now or at their own time; the jobs $3, which
-- depend on them and have not begun, go back to sleep. Attempts and errors go on, with a full budget on top: what was
-- the budget is what max_attempts had over the attempt at the last retry. $5 tells whether to notify.
WITH changed AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = (CASE
            WHEN r.id IS NULL THEN 'suspended'
            WHEN j.state = 'retryable' OR j.scheduled_at <= greatest(timezone('UTC', clock_timestamp()), j.inserted_at)
                THEN 'available'
            ELSE 'scheduled'
        END)::/*oban.*/oban_job_state,
        scheduled_at = CASE
            WHEN j.state = 'retryable' THEN timezone('UTC', clock_timestamp())
            ELSE j.scheduled_at
        END,
        max_attempts = least(j.attempt + j.max_attempts - coalesce((
            SELECT h.attempt
            FROM /*schema.*/workflow_step_history h
            WHERE h.workflow_id = $4 AND h.job_id = j.id AND h.attempt IS NOT NULL AND h.xmin <> pg_current_xact_id()::xid
            ORDER BY h.id DESC
            LIMIT 1
        ), 0), 32767),
        completed_at = NULL,
        cancelled_at = NULL,
        discarded_at = NULL
    FROM unnest($1::bigint[]) AS o (id)
    LEFT JOIN unnest($2::bigint[]) AS r (id) ON r.id = o.id
    WHERE j.id = o.id AND (j.meta ->> 'workflow_id' = $4::uuid::text) IS TRUE
    RETURNING j.id, j.queue, j.state
),
asleep AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = 'suspended'
    FROM unnest($3::bigint[]) AS o (id)
    WHERE j.id = o.id AND (j.meta ->> 'workflow_id' = $4::uuid::text) IS TRUE
    AND (j.state IN ('available', 'scheduled', 'retryable')) IS TRUE
)
SELECT
    q.queue,
    CASE WHEN $5::boolean THEN /*schema.*/baton_notify_jobs(q.queue) END AS notified
FROM (SELECT DISTINCT c.queue FROM changed c WHERE c.state = 'available') q
