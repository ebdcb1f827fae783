DROP TABLE IF EXISTS /*schema.*/baton_engines;
DROP TABLE IF EXISTS /*schema.*/workflow_completions;
DROP TABLE IF EXISTS /*schema.*/workflow_nodes;
DROP TABLE IF EXISTS /*schema.*/workflows;
