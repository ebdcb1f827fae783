DROP TABLE /*schema.*/workflow_debug_logs;
DROP TABLE /*schema.*/workflow_step_stats;
