-- Has the steps $1 of a fork be as the steps $2 of its source have settled; their jobs go, as if pruned. Wait steps have
-- waited as those of the source have, but of their events only the results are taken over.
WITH taken AS (
    UPDATE /*schema.*/workflow_nodes n
    SET state = s.state, result = s.result, pending = 0
    FROM unnest($1::bigint[], $2::bigint[]) AS o (job_id, source)
    JOIN /*schema.*/workflow_nodes s ON s.job_id = o.source
    WHERE n.job_id = o.job_id
),
groups AS (
    UPDATE /*schema.*/workflow_wait_groups g
    SET status = s.status, armed_at = s.armed_at, deadline = s.deadline, wake_at = NULL, settled_at = s.settled_at,
        reason = s.reason
    FROM unnest($1::bigint[], $2::bigint[]) AS o (job_id, source)
    JOIN /*schema.*/workflow_wait_groups s ON s.job_id = o.source AND s.wait_step
    WHERE g.job_id = o.job_id
    RETURNING g.id
),
missed AS (
    UPDATE /*schema.*/workflow_wait_members m SET state = 'missed' FROM groups g WHERE m.group_id = g.id
)
DELETE FROM /*oban.*/oban_jobs j USING unnest($1::bigint[]) AS o (job_id) WHERE j.id = o.job_id
