-- Makes jobs runnable whose last dependency settled, at once or at their own scheduled time.
WITH released AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = (
        -- One without a time of its own is due, whatever the clock said when it was inserted.
        CASE
            WHEN j.scheduled_at <= greatest(timezone('UTC', clock_timestamp()), j.inserted_at) THEN 'available'
            ELSE 'scheduled'
        END
    )::/*oban.*/oban_job_state
    FROM /*schema.*/workflow_nodes n
    WHERE j.id = ANY ($1::bigint[]) AND (j.state = 'suspended') IS TRUE AND n.job_id = j.id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
    RETURNING j.queue, j.state
)
SELECT
    r.queue,
    CASE WHEN $2::boolean THEN /*schema.*/baton_notify_jobs(r.queue) END AS notified
FROM (SELECT DISTINCT queue FROM released WHERE state = 'available') r
