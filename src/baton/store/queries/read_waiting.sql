-- Reads what is waiting for whom since when, oldest first, past the group $2: with or without a prompt ($3), for the
-- event $4, with the correlation key $5, in workflows of the name $6 (each NULL: any). All of it is asked before the
-- page is cut, so that only the last page is short.
-- Times that Python does not have (infinity, before the year 1, past 9999) come as the first and the last that it has.
WITH page AS MATERIALIZED (
    SELECT g.*, w.name AS workflow_name, n.name AS step
    FROM /*schema.*/workflow_wait_groups g
    -- One by one: the planner would rather join with all nodes and workflows at once.
    CROSS JOIN LATERAL (
        SELECT n.name FROM /*schema.*/workflow_nodes n WHERE n.job_id = g.job_id AND n.state IS NULL OFFSET 0
    ) n
    CROSS JOIN LATERAL (SELECT w.name FROM /*schema.*/workflows w WHERE w.id = g.workflow_id OFFSET 0) w
    WHERE g.status = 'pending' AND g.id > $2
    AND ($3::boolean IS NULL OR (g.prompt IS NOT NULL) = $3)
    AND ($4::text IS NULL OR $4 = ANY (g.names))
    AND ($5::text IS NULL OR g.correlation_key = $5)
    AND ($6::text IS NULL OR w.name = $6)
    ORDER BY g.id
    LIMIT $1::integer
)
SELECT
    g.id, g.workflow_id, g.workflow_name, g.step, g.replay_key, g.names, g.need,
    ARRAY(
        SELECT m.name FROM /*schema.*/workflow_wait_members m
        WHERE m.group_id = g.id AND m.state = 'received' ORDER BY m.event_id
    ) AS received,
    g.correlation_key, g.prompt, g.payload_schema::text AS payload_schema,
    CASE
        WHEN g.armed_at > '9999-12-30 UTC' THEN '9999-12-30 UTC'
        WHEN g.armed_at < '0001-01-02 UTC' THEN '0001-01-02 UTC'
        ELSE g.armed_at
    END AS armed_at,
    CASE
        WHEN g.deadline > '9999-12-30 UTC' THEN '9999-12-30 UTC'
        WHEN g.deadline < '0001-01-02 UTC' THEN '0001-01-02 UTC'
        ELSE g.deadline
    END AS deadline
FROM page g
ORDER BY g.id
