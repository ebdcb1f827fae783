-- Reads the group and the events of its mailbox that might be for it, to be checked against its schema.
SELECT m.name, e.id, e.payload::text AS payload, g.payload_schema::text AS payload_schema
FROM /*schema.*/workflow_wait_groups g
JOIN /*schema.*/workflow_wait_members m ON m.group_id = g.id AND m.state = 'waiting'
CROSS JOIN LATERAL (
    SELECT e.id, e.payload
    FROM /*schema.*/workflow_events e
    WHERE e.workflow_id = g.workflow_id AND e.name = m.name AND e.state = 'kept'
    UNION ALL
    SELECT e.id, e.payload
    FROM /*schema.*/workflow_events e
    WHERE e.correlation_key = g.correlation_key AND e.name = m.name
    AND e.correlation_key IS NOT NULL AND e.state IN ('kept', 'open')
    AND (e.receivers = 0 OR g.id <= e.newest_group)
) e
WHERE g.id = $1 AND g.payload_schema IS NOT NULL AND g.status = 'pending'
ORDER BY e.id
