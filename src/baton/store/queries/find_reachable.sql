-- Which of the steps $2 depend on which of the steps $1, at any distance, or are the same.
WITH RECURSIVE below (target, job_id) AS (
    SELECT o.job_id, o.job_id FROM unnest($1::bigint[]) AS o (job_id)
    UNION
    SELECT b.target, d.job_id
    FROM below b
    JOIN /*schema.*/workflow_nodes n ON n.job_id = b.job_id
    CROSS JOIN LATERAL unnest(n.dependents || n.any_dependents) AS d (job_id)
)
SELECT b.target, b.job_id AS reached FROM below b WHERE b.job_id = ANY ($2::bigint[])
