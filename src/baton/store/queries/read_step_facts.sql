-- Reads what there is to say about one step of a workflow: its node, its job, who runs it, and what stands before
-- it in its queue, counted up to $3. Of its last error at most $4 characters.
-- What it says of the job stands in `read_steps` too, which pages through a workflow: who runs a step and what stands
-- before it would be looked up for each row there.
-- Times that Python does not have (infinity, before the year 1, past 9999) come as the first and the last that it has.
SELECT
    n.job_id,
    n.state::text AS settled,
    j.state::text AS job_state,
    j.queue,
    j.attempt::integer AS attempt,
    j.max_attempts::integer AS max_attempts,
    timezone('UTC', CASE
        WHEN j.scheduled_at > '9999-12-30' THEN '9999-12-30'
        WHEN j.scheduled_at < '0001-01-02' THEN '0001-01-02'
        ELSE j.scheduled_at
    END) AS scheduled_at,
    timezone('UTC', CASE
        WHEN j.attempted_at > '9999-12-30' THEN '9999-12-30'
        WHEN j.attempted_at < '0001-01-02' THEN '0001-01-02'
        ELSE j.attempted_at
    END) AS attempted_at,
    timezone('UTC', (
        SELECT CASE WHEN f.at > '9999-12-30' THEN '9999-12-30' WHEN f.at < '0001-01-02' THEN '0001-01-02' ELSE f.at END
        FROM (
            SELECT CASE j.state
                WHEN 'completed' THEN j.completed_at
                WHEN 'cancelled' THEN j.cancelled_at
                WHEN 'discarded' THEN j.discarded_at
            END AS at
        ) f
    )) AS finished_at,
    left(to_jsonb(j.errors) -> -1 ->> 'error', $4::integer) AS error,
    clock_timestamp() AS now,
    j.attempted_by[1] AS host,
    j.attempted_by[3] IS NOT DISTINCT FROM 'baton' AS by_baton,
    e.id AS engine_id,
    e.name,
    e.node,
    e.started_at,
    e.seen_at,
    e.rescue_after,
    e.queues::text AS queues,
    extract(epoch FROM clock_timestamp() - e.seen_at)::double precision AS silent_for,
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM /*oban.*/oban_jobs o
            WHERE o.state = 'available' AND o.queue = j.queue
            AND (o.priority, o.scheduled_at, o.id) < (j.priority, j.scheduled_at, j.id)
            AND j.state = 'available'
            LIMIT $3::integer
        ) o
    ) AS ahead,
    (
        SELECT count(*)
        FROM (
            SELECT FROM /*oban.*/oban_jobs o
            WHERE o.state = 'executing' AND o.queue = j.queue AND j.state = 'available'
            LIMIT $3::integer
        ) o
    ) AS executing,
    l.live_engines,
    l.serving,
    l.paused,
    l.room,
    g.names AS wait_names,
    g.need AS wait_need,
    ARRAY(
        SELECT m.name
        FROM /*schema.*/workflow_wait_members m
        WHERE m.group_id = g.id AND m.state = 'received'
        ORDER BY m.event_id
    ) AS wait_received,
    CASE
        WHEN g.armed_at > '9999-12-30 UTC' THEN '9999-12-30 UTC'
        WHEN g.armed_at < '0001-01-02 UTC' THEN '0001-01-02 UTC'
        ELSE g.armed_at
    END AS wait_since,
    CASE
        WHEN g.deadline > '9999-12-30 UTC' THEN '9999-12-30 UTC'
        WHEN g.deadline < '0001-01-02 UTC' THEN '0001-01-02 UTC'
        ELSE g.deadline
    END AS wait_deadline,
    g.prompt AS wait_prompt,
    w.paused_at,
    w.pause_reason
FROM /*schema.*/workflow_nodes n
JOIN /*schema.*/workflows w ON w.id = n.workflow_id
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
LEFT JOIN /*schema.*/baton_engines e ON e.id::text = j.attempted_by[2]
CROSS JOIN LATERAL (
    SELECT
        count(*) AS live_engines,
        count(*) FILTER (WHERE (live.queues ->> j.queue)::integer > 0) AS serving,
        count(*) FILTER (WHERE (live.queues ->> j.queue)::integer = 0) AS paused,
        coalesce(sum((live.queues ->> j.queue)::integer), 0)::bigint AS room
    FROM /*schema.*/baton_engines live
    WHERE live.seen_at > clock_timestamp() - make_interval(secs => live.rescue_after)
) l
LEFT JOIN LATERAL (
    SELECT p.*
    FROM /*schema.*/workflow_wait_groups p
    WHERE p.job_id = n.job_id AND (p.status = 'pending') IS TRUE
    ORDER BY p.id DESC
    LIMIT 1
) g ON true
WHERE n.workflow_id = $1 AND n.name = $2
