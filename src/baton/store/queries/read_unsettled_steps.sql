-- How many steps of a workflow have not settled, and $3 of them: what is available in a queue other than $2
-- first, then what waits for no dependency. Only some hundred are looked at: a workflow may have very many.
WITH looked_at AS (
    SELECT n.job_id, n.workflow_id, n.name, n.pending > 0 AS waits
    FROM /*schema.*/workflow_nodes n
    WHERE n.workflow_id = $1 AND n.state IS NULL
    ORDER BY n.pending > 0, n.job_id
    LIMIT 500
)
SELECT
    w.outstanding, w.paused_at, w.pause_reason, s.name, j.state::text AS state, j.queue,
    EXISTS (
        SELECT FROM /*schema.*/baton_engines live
        WHERE live.seen_at > clock_timestamp() - make_interval(secs => live.rescue_after)
        AND (live.queues ->> j.queue)::integer > 0
    ) AS served
FROM /*schema.*/workflows w
CROSS JOIN looked_at s
LEFT JOIN /*oban.*/oban_jobs j ON j.id = s.job_id
    AND (j.meta ->> 'workflow_id' = s.workflow_id::text) IS TRUE
WHERE w.id = $1
ORDER BY (j.state = 'available') IS TRUE AND j.queue <> ALL ($2::text[]) DESC, s.waits, s.job_id
LIMIT $3
