-- The steps of workflow $1 that a retry resets: $2 is 'failed', 'failed_and_downstream', 'all' or 'steps', where
-- $3 names them.
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
    CROSS JOIN LATERAL unnest(f.dependents) AS d (job_id)
    WHERE $2 IN ('steps', 'failed_and_downstream')
    UNION
    SELECT d.job_id
    FROM below b
    JOIN /*schema.*/workflow_nodes n ON n.job_id = b.job_id
    CROSS JOIN LATERAL unnest(n.dependents || n.any_dependents) AS d (job_id)
)
SELECT f.job_id FROM first f
UNION
SELECT b.job_id
FROM below b
JOIN /*schema.*/workflow_nodes n ON n.job_id = b.job_id
WHERE $2 = 'steps' OR n.state IS NOT NULL
