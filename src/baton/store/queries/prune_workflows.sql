-- Deletes those of these workflows that nothing belongs to any more, with their completions.
WITH workflows AS (
    DELETE FROM /*schema.*/workflows w
    WHERE w.id = ANY ($1::uuid[])
    AND NOT EXISTS (SELECT FROM /*schema.*/workflow_nodes n WHERE n.workflow_id = w.id)
    AND NOT EXISTS (SELECT FROM /*schema.*/workflow_step_stats s WHERE s.workflow_id = w.id)
    AND NOT EXISTS (SELECT FROM /*schema.*/workflow_debug_logs l WHERE l.workflow_id = w.id)
    AND NOT EXISTS (SELECT FROM /*schema.*/workflow_events e WHERE e.workflow_id = w.id)
    AND NOT EXISTS (SELECT FROM /*schema.*/workflow_step_history h WHERE h.workflow_id = w.id)
    AND NOT EXISTS (SELECT FROM /*schema.*/workflow_deleted_jobs d WHERE d.workflow_id = w.id)
    AND NOT EXISTS (SELECT FROM /*schema.*/baton_actions a WHERE a.workflow_id = w.id)
    RETURNING w.id
),
deadlines AS (
    DELETE FROM /*schema.*/workflow_deadlines d USING workflows w WHERE d.workflow_id = w.id
),
completions AS (
    DELETE FROM /*schema.*/workflow_completions c USING workflows w WHERE c.workflow_id = w.id
    RETURNING c.workflow_id
)
SELECT (SELECT count(*) FROM workflows)::integer AS workflows, (SELECT count(*) FROM completions)::integer AS completions
