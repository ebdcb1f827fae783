-- Reads what is waiting for whom since when, in one workflow, oldest first. A query of its own: with an optional
-- workflow its index would be lost to the generic plan.
SELECT
    g.id, g.workflow_id, w.name AS workflow_name, n.name AS step, g.key, g.names, g.need,
    ARRAY(
        SELECT m.name FROM /*schema.*/workflow_wait_members m
        WHERE m.group_id = g.id AND m.state = 'received' ORDER BY m.event_id
    ) AS received,
    g.correlation, g.prompt, g.answers::text AS answers, g.armed_at, g.deadline
FROM /*schema.*/workflow_wait_groups g
JOIN /*schema.*/workflows w ON w.id = g.workflow_id
JOIN /*schema.*/workflow_nodes n ON n.job_id = g.job_id AND n.state IS NULL
WHERE (g.status = 'pending') IS TRUE AND g.job_id = ANY (ARRAY(
    SELECT u.job_id FROM /*schema.*/workflow_nodes u WHERE u.workflow_id = $1 AND u.state IS NULL
))
ORDER BY g.id
