-- What the steps $1 have waited for begins anew: waits inside them are deleted, with $2 only those that have not
-- settled, or not before their step did; wait steps wait again. Events that they had taken are theirs no more, and
-- may be sent again under the same dedupe_id. A wait step that had not begun keeps what came by its correlation key
-- before: nobody else has taken that.
WITH groups AS MATERIALIZED (
    SELECT g.id, g.wait_step, g.armed_at IS NOT NULL AS begun
    FROM unnest($1::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_wait_groups g ON g.job_id = o.job_id
    WHERE g.wait_step OR NOT $2::boolean OR g.status IN ('dormant', 'pending')
    OR (g.status = 'cancelled' AND g.reason = 'the step ended without it')
),
events AS (
    UPDATE /*schema.*/workflow_events e
    SET state = CASE e.state WHEN 'taken' THEN 'dropped' ELSE e.state END, group_id = NULL, dedupe_id = NULL
    FROM groups g
    JOIN /*schema.*/workflow_wait_members m ON m.group_id = g.id
    WHERE e.id = m.event_id AND g.begun AND e.state IN ('taken', 'given')
),
gone AS (
    DELETE FROM /*schema.*/workflow_wait_members m USING groups g WHERE m.group_id = g.id AND NOT g.wait_step
),
deleted AS (
    DELETE FROM /*schema.*/workflow_wait_groups w USING groups g WHERE w.id = g.id AND NOT g.wait_step
),
expected AS (
    UPDATE /*schema.*/workflow_wait_members m
    SET state = 'waiting', event_id = NULL
    FROM groups g
    WHERE m.group_id = g.id AND g.wait_step AND (g.begun OR m.state = 'missed')
)
UPDATE /*schema.*/workflow_wait_groups w
SET status = 'dormant', armed_at = NULL, deadline = NULL, wake_at = NULL, settled_at = NULL, reason = NULL
FROM groups g
WHERE w.id = g.id AND g.wait_step
