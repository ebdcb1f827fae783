-- The first group past ($2, $3) that waits for an event sent by a key: whom baton_spread would look at first.
SELECT m.workflow_id, m.group_id
FROM /*schema.*/workflow_events e
JOIN /*schema.*/workflow_wait_members m
    ON m.correlation_key = e.correlation_key AND m.name = e.name AND m.state = 'waiting' AND m.correlation_key IS NOT NULL
WHERE e.id = $1
AND (m.workflow_id, m.group_id) > ($2::uuid, $3::bigint)
AND (e.receivers = 0 OR e.newest_group IS NULL OR m.group_id <= e.newest_group)
ORDER BY m.workflow_id, m.group_id
LIMIT 1
