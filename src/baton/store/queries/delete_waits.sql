-- Deletes what the steps $1 wait for.
WITH groups AS (
    DELETE FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = ANY ($1::bigint[]) RETURNING g.id
)
DELETE FROM /*schema.*/workflow_wait_members m USING groups g WHERE m.group_id = g.id
