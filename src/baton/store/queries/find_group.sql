-- Finds the wait of a step that has not ended; at most one of a step's waits is open.
SELECT n.job_id, g.id
FROM /*schema.*/workflow_nodes n
LEFT JOIN /*schema.*/workflow_wait_groups g
    ON g.job_id = n.job_id AND g.status IN ('dormant', 'pending') AND n.state IS NULL
WHERE n.workflow_id = $1 AND n.name = $2
ORDER BY g.id
LIMIT 1
