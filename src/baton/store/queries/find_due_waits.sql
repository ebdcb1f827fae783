-- Finds groups whose time has come, oldest first, past the group $3 that was due at $2 ('-infinity' and 0: from the
-- beginning). careful: they are decided one by one, because a payload has to be read and checked, or because the step
-- is to be failed. looks: only the mailbox of a key is to be looked into.
SELECT
    g.id,
    g.workflow_id,
    g.payload_schema IS NOT NULL OR (g.wait_step AND g.on_timeout <> 'result') AS careful,
    g.correlation_key IS NOT NULL AND g.payload_schema IS NULL AND coalesce(g.deadline > now(), true) AS looks,
    g.wake_at::text AS wake_at
FROM /*schema.*/workflow_wait_groups g
WHERE g.wake_at IS NOT NULL AND g.wake_at <= now() AND (g.wake_at, g.id) > ($2::text::timestamptz, $3::bigint)
ORDER BY g.wake_at, g.id
LIMIT $1
