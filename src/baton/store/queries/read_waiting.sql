-- Reads what is waiting for whom since when, oldest first, past the group $2.
WITH page AS MATERIALIZED (
    SELECT g.*
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.status = 'pending' AND g.id > $2
    ORDER BY g.id
    LIMIT $1
)
SELECT
    g.id, g.workflow_id, w.name AS workflow_name, n.name AS step, g.key, g.names, g.need,
    ARRAY(
        SELECT m.name FROM /*schema.*/workflow_wait_members m
        WHERE m.group_id = g.id AND m.state = 'received' ORDER BY m.event_id
    ) AS received,
    g.correlation, g.prompt, g.answers::text AS answers, g.armed_at, g.deadline
FROM page g
JOIN /*schema.*/workflows w ON w.id = g.workflow_id
JOIN /*schema.*/workflow_nodes n ON n.job_id = g.job_id AND n.state IS NULL
ORDER BY g.id
