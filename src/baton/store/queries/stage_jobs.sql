-- Makes due scheduled and retryable jobs available, oldest first, but for those in $2, and names the queues that
-- got some. now() and not clock_timestamp(): a volatile bound could not use the index.
WITH due AS MATERIALIZED (
    SELECT j.id
    FROM /*oban.*/oban_jobs j
    WHERE j.state IN ('scheduled', 'retryable') AND j.scheduled_at <= timezone('UTC', now())
    AND j.id NOT IN (SELECT unnest($2::bigint[]))
    ORDER BY j.scheduled_at, j.id
    LIMIT $1
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
    CASE WHEN $3::boolean THEN /*schema.*/baton_notify_jobs(s.queue) END AS notified
FROM (SELECT queue, count(*)::integer AS staged FROM staged GROUP BY queue) s
