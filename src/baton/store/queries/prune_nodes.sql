-- Deletes at most $2 nodes of these workflows.
WITH doomed AS MATERIALIZED (
    SELECT n.job_id
    FROM /*schema.*/workflow_nodes n
    WHERE n.workflow_id = ANY ($1::uuid[])
    LIMIT $2
),
deleted AS (
    DELETE FROM /*schema.*/workflow_nodes n USING doomed d WHERE n.job_id = d.job_id RETURNING n.job_id
)
SELECT count(*)::integer AS deleted FROM deleted
