-- Looks at $4 events kept for a key, past ($1, $2, $3): waits that could have had them and are not to look soon, do so
-- now, as many of each key and name as there are events. Tells how many, the last event, and how many there were.
WITH looked AS MATERIALIZED (
    SELECT e.correlation_key, e.name, e.id, e.sent_at
    FROM /*schema.*/workflow_events e
    WHERE e.correlation_key IS NOT NULL AND e.state IN ('kept', 'open')
    AND (e.correlation_key, e.name, e.id) > ($1::text, $2::text, $3::bigint)
    ORDER BY e.correlation_key, e.name, e.id
    LIMIT $4
),
left_behind AS MATERIALIZED (
    SELECT g.id
    FROM (
        SELECT l.correlation_key, l.name, count(*) AS events, min(l.sent_at) AS sent_at
        FROM looked l
        JOIN /*schema.*/workflow_events e ON e.id = l.id AND (e.state = 'kept') IS TRUE
        GROUP BY l.correlation_key, l.name
    ) k
    CROSS JOIN LATERAL (
        SELECT g.id
        FROM /*schema.*/workflow_wait_members m
        JOIN /*schema.*/workflow_wait_groups g ON g.id = m.group_id
        WHERE m.correlation_key = k.correlation_key AND m.name = k.name
        AND m.state = 'waiting' AND m.correlation_key IS NOT NULL
        AND (g.status = 'pending') IS TRUE AND g.payload_schema IS NULL
        AND (g.deadline IS NULL OR g.deadline >= k.sent_at)
        AND coalesce(g.wake_at > now() + interval '5 s', true)
        ORDER BY m.correlation_key, m.name, m.workflow_id, m.group_id
        LIMIT k.events
    ) g
),
free AS MATERIALIZED (
    SELECT g.id
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = ANY (ARRAY(SELECT l.id FROM left_behind l))
    FOR NO KEY UPDATE SKIP LOCKED
),
woken AS (
    UPDATE /*schema.*/workflow_wait_groups g
    SET wake_at = now()
    FROM free f
    WHERE g.id = f.id AND g.status = 'pending'
    RETURNING g.id
)
SELECT
    (SELECT count(*)::integer FROM woken) AS woken,
    (SELECT count(*)::integer FROM looked) AS looked_at,
    l.correlation_key, l.name, l.id
FROM (SELECT true) AS one
LEFT JOIN LATERAL (
    SELECT o.correlation_key, o.name, o.id
    FROM looked o
    ORDER BY o.correlation_key DESC, o.name DESC, o.id DESC
    LIMIT 1
) l ON true
