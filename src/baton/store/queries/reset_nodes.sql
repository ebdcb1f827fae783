-- Puts the steps $2 of workflow $1, in its run $3, back to their beginning, and keeps what that replaces. Every step
-- that has not settled and depends on one of them that had waits for it once more. $4 is 1 while the workflow is
-- paused: then each waits for that too.
WITH chosen AS MATERIALIZED (
    SELECT n.job_id, n.name, n.state, n.result, n.deps, n.dependents
    FROM unnest($2::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = o.job_id
    WHERE n.workflow_id = $1
),
kept AS (
    INSERT INTO /*schema.*/workflow_step_history (
        workflow_id, job_id, name, run, state, result, error, attempt, max_attempts, attempted_at, ended_at
    )
    SELECT
        $1, c.job_id, c.name, $3::integer, c.state::text, c.result, to_jsonb(j.errors) -> -1 ->> 'error',
        j.attempt, j.max_attempts, timezone('UTC', j.attempted_at),
        timezone('UTC', coalesce(j.completed_at, j.cancelled_at, j.discarded_at))
    FROM chosen c
    LEFT JOIN /*oban.*/oban_jobs j ON j.id = c.job_id AND (j.meta ->> 'workflow_id' = $1::text) IS TRUE
    WHERE c.state IS NOT NULL OR j.attempt > 0
    ORDER BY c.job_id
),
waiting AS (
    SELECT c.job_id, count(d.job_id)::integer AS unsettled
    FROM chosen c
    LEFT JOIN LATERAL unnest(c.deps) AS p (job_id) ON true
    LEFT JOIN chosen again ON again.job_id = p.job_id
    LEFT JOIN /*schema.*/workflow_nodes d
        ON d.job_id = p.job_id AND (d.state IS NULL OR again.job_id IS NOT NULL)
    GROUP BY c.job_id
),
reset AS (
    UPDATE /*schema.*/workflow_nodes n
    SET state = NULL,
        result = NULL,
        trace = NULL,
        waits = s.wait_step,
        pending = w.unsettled + s.wait_step::integer + $4::integer,
        released_at = CASE WHEN w.unsettled + s.wait_step::integer + $4 = 0 THEN clock_timestamp() END
    FROM waiting w
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = w.job_id AND g.wait_step
        ) AS wait_step
    ) s
    WHERE n.job_id = w.job_id
    RETURNING n.job_id, n.pending, n.waits
),
-- What depends on a step that had settled counted it no more.
again AS (
    UPDATE /*schema.*/workflow_nodes n
    SET pending = n.pending + g.settled, released_at = NULL
    FROM (
        SELECT d.job_id, count(*)::integer AS settled
        FROM chosen c
        CROSS JOIN LATERAL unnest(c.dependents) AS d (job_id)
        WHERE c.state IS NOT NULL AND NOT EXISTS (SELECT FROM chosen o WHERE o.job_id = d.job_id)
        GROUP BY d.job_id
    ) g
    WHERE n.job_id = g.job_id AND n.state IS NULL
    RETURNING n.job_id
)
SELECT
    (SELECT coalesce(array_agg(r.job_id), '{}') FROM reset r WHERE r.pending = 0) AS ready,
    (SELECT coalesce(array_agg(r.job_id), '{}') FROM reset r WHERE r.waits AND r.pending = 1) AS armed,
    (SELECT coalesce(array_agg(a.job_id), '{}') FROM again a) AS again,
    (SELECT count(*) FROM chosen c WHERE c.state IS NOT NULL)::integer AS settled,
    (SELECT count(*) FROM chosen c WHERE c.state IN ('cancelled', 'discarded'))::integer AS failed
