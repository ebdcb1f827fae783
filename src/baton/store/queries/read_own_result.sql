-- Reads a step's own stored result.
SELECT n.result IS NOT NULL AS stored, (n.result -> 'value')::text AS result
FROM /*schema.*/workflow_nodes n
WHERE n.job_id = $1
