-- Finds groups whose time has come, oldest first. careful: they are decided one by one, because a payload has to be
-- read and checked, or because the step is to be failed.
SELECT
    g.id,
    g.workflow_id,
    g.answers IS NOT NULL OR (g.gate AND g.on_timeout <> 'result') AS careful
FROM /*schema.*/workflow_wait_groups g
WHERE g.wake_at IS NOT NULL AND g.wake_at <= now()
ORDER BY g.wake_at, g.id
LIMIT $1
