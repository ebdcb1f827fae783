-- Of these groups, those that asked for a look into the mailbox of their key and whose mailboxes show nothing: they
-- sleep until their deadlines. Returns them. Nothing is decided, so no workflow is locked; a group that somebody is
-- changing is passed by. An event that this statement does not see yet finds the group by itself.
-- OFFSET 0 keeps the looks by index, one for each group: as joins they might go through all that ever waited.
WITH quiet AS MATERIALIZED (
    SELECT g.id, g.deadline
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = ANY ($1::bigint[]) AND (g.status = 'pending') IS TRUE
    AND g.wake_at <= clock_timestamp()
    AND (g.deadline IS NULL OR g.deadline > clock_timestamp())
    AND NOT EXISTS (
        SELECT FROM /*schema.*/workflow_events e
        WHERE e.workflow_id = g.workflow_id AND e.name = ANY (g.names) AND e.state = 'kept'
        OFFSET 0
    )
    AND NOT EXISTS (
        SELECT FROM /*schema.*/workflow_events e
        WHERE e.correlation_key = g.correlation_key AND e.name = ANY (g.names)
        AND e.correlation_key IS NOT NULL AND e.state IN ('kept', 'open')
        OFFSET 0
    )
    AND NOT EXISTS (
        SELECT FROM /*schema.*/workflow_wait_members m WHERE m.group_id = g.id AND m.state = 'received'
        OFFSET 0
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE /*schema.*/workflow_wait_groups g
SET wake_at = q.deadline
FROM quiet q
WHERE g.id = q.id
RETURNING g.id
