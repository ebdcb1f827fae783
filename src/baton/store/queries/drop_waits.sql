-- What the steps $1 of workflow $2 have waited for begins anew: waits inside them are deleted, with $3 only those that
-- have not settled; wait steps wait again. Events that they had taken are theirs no more, and may be sent again under
-- the same dedupe_id.
WITH groups AS MATERIALIZED (
    SELECT g.id, g.wait_step
    FROM /*schema.*/workflow_wait_groups g
    JOIN unnest($1::bigint[]) AS o (job_id) ON o.job_id = g.job_id
    WHERE g.wait_step OR NOT $3::boolean OR g.status IN ('dormant', 'pending')
),
events AS (
    UPDATE /*schema.*/workflow_events e
    SET state = 'dropped', group_id = NULL, dedupe_id = NULL
    FROM groups g
    WHERE e.workflow_id = $2 AND e.state = 'taken' AND e.group_id = g.id
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
    WHERE m.group_id = g.id AND g.wait_step
)
UPDATE /*schema.*/workflow_wait_groups w
SET status = 'dormant', armed_at = NULL, deadline = NULL, wake_at = NULL, settled_at = NULL, reason = NULL
FROM groups g
WHERE w.id = g.id AND g.wait_step
