DROP TABLE /*schema.*/baton_engines;
DROP TABLE /*schema.*/workflow_completions;
DROP TABLE /*schema.*/workflow_nodes;
DROP TABLE /*schema.*/workflows;
