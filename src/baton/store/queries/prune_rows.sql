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
),
history AS (
    DELETE FROM /*schema.*/workflow_step_history h
    USING (
        SELECT d.id FROM /*schema.*/workflow_step_history d WHERE d.workflow_id = ANY ($1::uuid[]) LIMIT $2
    ) d
    WHERE h.id = d.id
    RETURNING h.id
),
deleted_jobs AS (
    DELETE FROM /*schema.*/workflow_deleted_jobs j
    USING (
        SELECT d.job_id FROM /*schema.*/workflow_deleted_jobs d WHERE d.workflow_id = ANY ($1::uuid[]) LIMIT $2
    ) d
    WHERE j.job_id = d.job_id
    RETURNING j.job_id
),
actions AS (
    DELETE FROM /*schema.*/baton_actions a
    USING (
        SELECT d.id FROM /*schema.*/baton_actions d WHERE d.workflow_id = ANY ($1::uuid[]) LIMIT $2
    ) d
    WHERE a.id = d.id
    RETURNING a.id
)
SELECT
    (SELECT count(*) FROM nodes)::integer AS workflow_nodes,
    (SELECT count(*) FROM stats)::integer AS workflow_step_stats,
    (SELECT count(*) FROM logs)::integer AS workflow_debug_logs,
    (SELECT count(*) FROM history)::integer AS workflow_step_history,
    (SELECT count(*) FROM deleted_jobs)::integer AS workflow_deleted_jobs,
    (SELECT count(*) FROM actions)::integer AS baton_actions
