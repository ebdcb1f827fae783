-- Deletes what belongs to these workflows, at most $2 rows of each table.
WITH nodes AS (
    DELETE FROM /*schema.*/workflow_nodes n
    USING (
        SELECT d.job_id
        FROM /*schema.*/workflow_nodes d
        WHERE d.workflow_id = ANY ($1::uuid[])
        AND NOT EXISTS (SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = d.job_id)
        AND NOT EXISTS (SELECT FROM /*schema.*/workflow_memos m WHERE m.job_id = d.job_id)
        LIMIT $2
    ) d
    WHERE n.job_id = d.job_id
    RETURNING n.job_id
),
stats AS (
    DELETE FROM /*schema.*/workflow_step_stats s
    USING (
        SELECT d.id FROM /*schema.*/workflow_step_stats d WHERE d.workflow_id = ANY ($1::uuid[]) LIMIT $2
    ) d
    WHERE s.id = d.id
    RETURNING s.id
),
logs AS (
    DELETE FROM /*schema.*/workflow_debug_logs l
    USING (
        SELECT d.id FROM /*schema.*/workflow_debug_logs d WHERE d.workflow_id = ANY ($1::uuid[]) LIMIT $2
    ) d
    WHERE l.id = d.id
    RETURNING l.id
)
SELECT
    (SELECT count(*) FROM nodes)::integer AS workflow_nodes,
    (SELECT count(*) FROM stats)::integer AS workflow_step_stats,
    (SELECT count(*) FROM logs)::integer AS workflow_debug_logs
