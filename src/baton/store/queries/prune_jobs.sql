-- Deletes jobs that ended long ago: completed before $1 seconds, cancelled before $2, discarded before $3 (NULL:
-- never); but none of a workflow that has not ended and been announced. Looks at $4 of each state, past ($5, $6),
-- ($7, $8) and ($9, $10) in the order of their ends; tells for each state where it came to, when it was full.
-- Without $11 it only looks.
WITH ended AS MATERIALIZED (
    (
        SELECT 'completed' AS state, j.id, j.completed_at AS at
        FROM /*oban.*/oban_jobs j
        WHERE j.state = 'completed'
        AND j.completed_at < timezone('UTC', now()) - make_interval(secs => $1)
        AND (j.completed_at, j.id) > ($5::timestamp, $6::bigint)
        ORDER BY j.completed_at, j.id
        LIMIT $4
    )
    UNION ALL
    (
        SELECT 'cancelled', j.id, j.cancelled_at
        FROM /*oban.*/oban_jobs j
        WHERE j.state = 'cancelled'
        AND j.cancelled_at < timezone('UTC', now()) - make_interval(secs => $2)
        AND (j.cancelled_at, j.id) > ($7::timestamp, $8::bigint)
        ORDER BY j.cancelled_at, j.id
        LIMIT $4
    )
    UNION ALL
    (
        SELECT 'discarded', j.id, j.discarded_at
        FROM /*oban.*/oban_jobs j
        WHERE j.state = 'discarded'
        AND j.discarded_at < timezone('UTC', now()) - make_interval(secs => $3)
        AND (j.discarded_at, j.id) > ($9::timestamp, $10::bigint)
        ORDER BY j.discarded_at, j.id
        LIMIT $4
    )
),
free AS MATERIALIZED (
    SELECT j.id
    FROM /*oban.*/oban_jobs j
    JOIN ended e ON e.id = j.id AND e.state = j.state::text
    WHERE $11::boolean AND NOT EXISTS (
        SELECT
        FROM /*schema.*/workflow_nodes n
        WHERE n.job_id = j.id
        AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
        AND NOT EXISTS (
            SELECT
            FROM /*schema.*/workflows w
            JOIN /*schema.*/workflow_completions c ON c.workflow_id = w.id AND c.run = w.run
            WHERE w.id = n.workflow_id
        )
    )
    ORDER BY j.id
    LIMIT $4
    FOR UPDATE OF j SKIP LOCKED
),
deleted AS (
    DELETE FROM /*oban.*/oban_jobs j USING free f WHERE j.id = f.id RETURNING j.id
)
SELECT
    e.state,
    count(*)::integer AS looked_at,
    max(e.at) AS at,
    (array_agg(e.id ORDER BY e.at DESC, e.id DESC))[1] AS id,
    (SELECT count(*) FROM deleted)::integer AS deleted
FROM ended e
GROUP BY e.state
