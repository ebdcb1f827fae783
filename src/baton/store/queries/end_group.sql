-- Ends a group by time ($2 = 'timeout': only when its deadline has passed) or by request ('cancelled'). The caller
-- holds the workflow's lock. Returns nothing when the group has ended already.
WITH ended AS (
    UPDATE /*schema.*/workflow_wait_groups g
    SET status = $2, settled_at = clock_timestamp(), wake_at = NULL, reason = $3
    WHERE g.id = $1
    AND (g.status = 'pending' OR (g.status = 'dormant' AND $2 = 'cancelled'))
    AND ($2 = 'cancelled' OR g.deadline <= clock_timestamp())
    RETURNING g.id, g.workflow_id, g.job_id, g.wait_step, g.replay_key, g.on_timeout, g.armed_at
),
missed AS (
    UPDATE /*schema.*/workflow_wait_members m
    SET state = 'missed'
    FROM ended e
    WHERE m.group_id = e.id AND m.state = 'waiting'
)
SELECT
    e.job_id, e.wait_step, e.replay_key, e.on_timeout, n.name AS step, w.name AS workflow_name,
    coalesce(extract(epoch FROM clock_timestamp() - e.armed_at), 0)::double precision AS seconds
FROM ended e
JOIN /*schema.*/workflow_nodes n ON n.job_id = e.job_id
JOIN /*schema.*/workflows w ON w.id = e.workflow_id
