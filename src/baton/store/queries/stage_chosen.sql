-- Makes those of the jobs $1 available that are due, and names the queues that got some: stage_jobs for parts of a
-- batch that was refused. Those that somebody holds are left to the next look.
WITH due AS MATERIALIZED (
    SELECT j.id
    FROM /*oban.*/oban_jobs j
    WHERE j.id = ANY ($1::bigint[])
    AND (j.state IN ('scheduled', 'retryable')) IS TRUE AND j.scheduled_at <= timezone('UTC', now())
    ORDER BY j.id
    FOR UPDATE SKIP LOCKED
),
staged AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = 'available'
    FROM due d
    WHERE j.id = d.id
    RETURNING j.queue
)
SELECT
    s.queue,
    s.staged,
    CASE WHEN $2::boolean THEN /*schema.*/baton_notify_jobs(s.queue) END AS notified
FROM (SELECT queue, count(*)::integer AS staged FROM staged GROUP BY queue) s
