-- Which of the steps $2, of the step $3 (NULL: none) and of those that had added it depend on which of the steps $1, at
-- any distance, or are the same.
WITH RECURSIVE below (target, job_id) AS (
    SELECT o.job_id, o.job_id FROM unnest($1::bigint[]) AS o (job_id)
    UNION
    SELECT b.target, d.job_id
    FROM below b
    JOIN /*schema.*/workflow_nodes n ON n.job_id = b.job_id
    CROSS JOIN LATERAL unnest(n.dependents || n.any_dependents) AS d (job_id)
),
growers (job_id) AS (
    SELECT $3::bigint
    UNION
    SELECT n.grown_by
    FROM growers g
    JOIN /*schema.*/workflow_nodes n ON n.job_id = g.job_id
    WHERE n.grown_by IS NOT NULL
)
SELECT b.target, b.job_id AS reached, b.job_id IN (SELECT g.job_id FROM growers g) AS grows
FROM below b
WHERE b.job_id = ANY ($2::bigint[]) OR b.job_id IN (SELECT g.job_id FROM growers g)
