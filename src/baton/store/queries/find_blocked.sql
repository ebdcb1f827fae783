-- Of the given jobs, those whose settlement somebody's lock holds up now: a lock on the workflow, on the job or
-- node, or on those of a dependent. Waits for nothing and keeps nothing.
WITH touched AS MATERIALIZED (
    SELECT o.id AS outcome, n.workflow_id, t.job_id
    FROM unnest($1::bigint[]) AS o (id)
    LEFT JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
    CROSS JOIN LATERAL unnest(o.id || coalesce(n.dependents || n.any_dependents, '{}')) AS t (job_id)
),
workflows AS MATERIALIZED (
    SELECT w.id
    FROM /*schema.*/workflows w
    WHERE w.id = ANY (ARRAY(SELECT t.workflow_id FROM touched t))
    FOR NO KEY UPDATE SKIP LOCKED
),
jobs AS MATERIALIZED (
    SELECT j.id
    FROM /*oban.*/oban_jobs j
    WHERE j.id = ANY (ARRAY(SELECT t.job_id FROM touched t))
    FOR NO KEY UPDATE SKIP LOCKED
),
nodes AS MATERIALIZED (
    SELECT n.job_id
    FROM /*schema.*/workflow_nodes n
    WHERE n.job_id = ANY (ARRAY(SELECT t.job_id FROM touched t))
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT DISTINCT t.outcome
FROM touched t
WHERE EXISTS (
    SELECT FROM /*schema.*/workflows w
    WHERE w.id = t.workflow_id AND NOT EXISTS (SELECT FROM workflows f WHERE f.id = w.id)
) OR EXISTS (
    SELECT FROM /*oban.*/oban_jobs j
    WHERE j.id = t.job_id AND NOT EXISTS (SELECT FROM jobs f WHERE f.id = j.id)
) OR EXISTS (
    SELECT FROM /*schema.*/workflow_nodes n
    WHERE n.job_id = t.job_id AND NOT EXISTS (SELECT FROM nodes f WHERE f.job_id = n.job_id)
)
