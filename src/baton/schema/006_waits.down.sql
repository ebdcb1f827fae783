DROP TABLE IF EXISTS /*schema.*/workflow_memos;
DROP TABLE IF EXISTS /*schema.*/workflow_events;
DROP TABLE IF EXISTS /*schema.*/workflow_wait_members;
DROP TABLE IF EXISTS /*schema.*/workflow_wait_groups;
