DO $keep$
BEGIN
    DROP TRIGGER IF EXISTS baton_keep_deleted_jobs ON /*oban.*/oban_jobs;
EXCEPTION WHEN undefined_table OR invalid_schema_name OR insufficient_privilege THEN
    NULL;
END
$keep$;
DROP TABLE IF EXISTS /*schema.*/workflow_deleted_jobs;
DROP TABLE IF EXISTS /*schema.*/baton_bulk;
DROP TABLE IF EXISTS /*schema.*/baton_actions;
DROP TABLE IF EXISTS /*schema.*/workflow_step_history;
DROP TABLE IF EXISTS /*schema.*/workflow_debug_logs;
DROP TABLE IF EXISTS /*schema.*/workflow_step_stats;
DROP TABLE IF EXISTS /*schema.*/workflow_memos;
DROP TABLE IF EXISTS /*schema.*/workflow_events;
DROP TABLE IF EXISTS /*schema.*/workflow_wait_members;
DROP TABLE IF EXISTS /*schema.*/workflow_wait_groups;
DROP TABLE IF EXISTS /*schema.*/baton_engines;
DROP TABLE IF EXISTS /*schema.*/workflow_completions;
DROP TABLE IF EXISTS /*schema.*/workflow_nodes;
DROP TABLE IF EXISTS /*schema.*/workflow_deadlines;
DROP TABLE IF EXISTS /*schema.*/workflows;
DROP TYPE IF EXISTS /*schema.*/step_state;
