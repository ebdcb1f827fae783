DROP TABLE IF EXISTS /*schema.*/workflow_debug_logs;
DROP TABLE IF EXISTS /*schema.*/workflow_step_stats;
