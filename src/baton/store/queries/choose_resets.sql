-- The steps of workflow $1 that a retry resets: $2 is 'failed', 'failed_and_downstream', 'all' or 'steps', where
-- $3 names them; what a step added while it ran counts as below it. What was skipped below a reset step before it was begun is decided again in every mode.
WITH RECURSIVE first AS (
    SELECT n.job_id, n.dependents || n.any_dependents AS dependents
    FROM /*schema.*/workflow_nodes n
    WHERE n.workflow_id = $1
    AND CASE $2::text
        WHEN 'all' THEN true
        WHEN 'steps' THEN n.name = ANY ($3::text[])
        ELSE n.state IN ('cancelled', 'discarded')
    END
),
below (job_id) AS (
    SELECT d.job_id
    FROM first f
    CROSS JOIN LATERAL unnest(f.dependents || ARRAY(
        SELECT g.job_id FROM /*schema.*/workflow_nodes g WHERE g.workflow_id = $1 AND g.grown_by = f.job_id
    )) AS d (job_id)
    WHERE $2 IN ('steps', 'failed_and_downstream')
    UNION
    SELECT d.job_id
    FROM below b
    JOIN /*schema.*/workflow_nodes n ON n.job_id = b.job_id
    CROSS JOIN LATERAL unnest(n.dependents || n.any_dependents || ARRAY(
        SELECT g.job_id FROM /*schema.*/workflow_nodes g WHERE g.workflow_id = $1 AND g.grown_by = n.job_id
    )) AS d (job_id)
),
skipped (job_id, dependents) AS (
    SELECT f.job_id, f.dependents FROM first f WHERE $2 = 'failed'
    UNION
    SELECT n.job_id, n.dependents || n.any_dependents
    FROM skipped s
    CROSS JOIN LATERAL unnest(s.dependents) AS d (job_id)
    CROSS JOIN LATERAL (
        SELECT r.* FROM /*schema.*/workflow_nodes r WHERE r.job_id = d.job_id OFFSET 0
    ) n
    WHERE (n.state = 'skipped') IS TRUE AND NOT /*schema.*/baton_begun(n.job_id, n.workflow_id)
)
SELECT f.job_id FROM first f
UNION
SELECT s.job_id FROM skipped s
UNION
SELECT b.job_id
FROM below b
JOIN /*schema.*/workflow_nodes n ON n.job_id = b.job_id
WHERE $2 = 'steps' OR n.state IS NOT NULL
