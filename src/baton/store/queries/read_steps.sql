-- Reads $3 steps of a workflow in the order they were added, past the job id $2, in the state $5 (NULL: any; the
-- settled one, before that the job's, 'gone' without a job), with at most $4 characters of their last errors.
-- The ids come first, by the index on the workflow: in the order of the ids the planner might
-- go through the nodes of all others.
-- Times that Python does not have (infinity, before the year 1, past 9999) come as the first and the last that it has.
WITH graph AS MATERIALIZED (
    SELECT n.job_id FROM /*schema.*/workflow_nodes n WHERE n.workflow_id = $1
),
page AS MATERIALIZED (
    SELECT g.job_id
    FROM graph g
    WHERE g.job_id > $2 AND ($5::text IS NULL OR $5 = (
        SELECT coalesce(n.state::text, j.state::text, 'gone')
        FROM /*schema.*/workflow_nodes n
        LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
        WHERE n.job_id = g.job_id
    ))
    ORDER BY g.job_id
    LIMIT $3::integer
)
SELECT
    n.job_id,
    n.name,
    n.state::text AS settled,
    n.result IS NOT NULL AS has_result,
    ARRAY(
        SELECT coalesce(dep.name, d.job_id::text)
        FROM unnest(n.deps) WITH ORDINALITY AS d (job_id, position)
        LEFT JOIN /*schema.*/workflow_nodes dep ON dep.job_id = d.job_id
        ORDER BY d.position
    ) AS dependencies,
    j.worker,
    j.queue,
    j.state::text AS job_state,
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
    left(to_jsonb(j.errors) -> -1 ->> 'error', $4::integer) AS error
FROM page p
JOIN /*schema.*/workflow_nodes n ON n.job_id = p.job_id
LEFT JOIN /*oban.*/oban_jobs j ON j.id = p.job_id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
ORDER BY p.job_id
