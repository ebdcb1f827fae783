DROP TABLE /*schema.*/workflow_memos;
DROP TABLE /*schema.*/workflow_events;
DROP TABLE /*schema.*/workflow_wait_members;
DROP TABLE /*schema.*/workflow_wait_groups;
