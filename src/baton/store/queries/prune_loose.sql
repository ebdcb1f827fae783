-- Deletes what jobs outside workflows recorded and captured, once their job rows are gone. Looks at $3 rows of each
-- table, past the ids $1 and $2; tells where it came to, and how many there were. Without $4 it only looks.
WITH seen_stats AS MATERIALIZED (
    SELECT s.id, s.job_id
    FROM /*schema.*/workflow_step_stats s
    WHERE s.workflow_id IS NULL AND s.id > $1
    ORDER BY s.id
    LIMIT $3
),
seen_logs AS MATERIALIZED (
    SELECT l.id, l.job_id
    FROM /*schema.*/workflow_debug_logs l
    WHERE l.workflow_id IS NULL AND l.id > $2
    ORDER BY l.id
    LIMIT $3
),
stats AS (
    DELETE FROM /*schema.*/workflow_step_stats s
    USING seen_stats x
    WHERE $4::boolean AND s.id = x.id AND NOT EXISTS (SELECT FROM /*oban.*/oban_jobs j WHERE j.id = x.job_id)
    RETURNING s.id
),
logs AS (
    DELETE FROM /*schema.*/workflow_debug_logs l
    USING seen_logs x
    WHERE $4::boolean AND l.id = x.id AND NOT EXISTS (SELECT FROM /*oban.*/oban_jobs j WHERE j.id = x.job_id)
    RETURNING l.id
)
SELECT
    (SELECT count(*) FROM stats)::integer AS stats,
    (SELECT count(*) FROM logs)::integer AS logs,
    (SELECT count(*) FROM seen_stats)::integer AS stats_seen,
    (SELECT count(*) FROM seen_logs)::integer AS logs_seen,
    (SELECT x.id FROM seen_stats x ORDER BY x.id DESC LIMIT 1) AS last_stats,
    (SELECT x.id FROM seen_logs x ORDER BY x.id DESC LIMIT 1) AS last_logs
