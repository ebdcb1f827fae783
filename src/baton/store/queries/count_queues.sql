-- Counts what has not ended, by queue, with the ages in seconds of what has been available and what has been
-- executing for longest, and the live engines that serve it with what they run at once together. Finished jobs are not
-- looked at, however many there are. Times without an age (infinity, before the year 1, past 9999) count for none.
SELECT
    q.queue,
    q.available,
    q.scheduled,
    q.retryable,
    q.executing,
    q.suspended,
    extract(epoch FROM c.now - q.scheduled_at)::double precision AS available_for,
    extract(epoch FROM c.now - e.attempted_at)::double precision AS executing_for,
    l.engines,
    l.room
FROM (SELECT timezone('UTC', clock_timestamp()) AS now) c
CROSS JOIN (
    SELECT
        j.queue,
        count(*) FILTER (WHERE j.state = 'available') AS available,
        count(*) FILTER (WHERE j.state = 'scheduled') AS scheduled,
        count(*) FILTER (WHERE j.state = 'retryable') AS retryable,
        count(*) FILTER (WHERE j.state = 'executing') AS executing,
        count(*) FILTER (WHERE j.state = 'suspended') AS suspended,
        min(j.scheduled_at) FILTER (
            WHERE j.state = 'available' AND j.scheduled_at BETWEEN '0001-01-02' AND '9999-12-30'
        ) AS scheduled_at
    FROM /*oban.*/oban_jobs j
    WHERE j.state IN ('available', 'scheduled', 'retryable', 'executing', 'suspended')
    GROUP BY j.queue
) q
LEFT JOIN (
    SELECT j.queue, min(j.attempted_at) AS attempted_at
    FROM /*oban.*/oban_jobs j
    WHERE j.state = 'executing' AND j.attempted_at BETWEEN '0001-01-02' AND '9999-12-30'
    GROUP BY j.queue
) e ON e.queue = q.queue
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE (live.queues ->> q.queue)::integer > 0) AS engines,
        coalesce(sum((live.queues ->> q.queue)::integer), 0)::bigint AS room
    FROM /*schema.*/baton_engines live
    WHERE live.seen_at > clock_timestamp() - make_interval(secs => live.rescue_after)
) l
ORDER BY q.queue
