DROP INDEX IF EXISTS /*schema.*/workflow_completions_failed_index;
DROP INDEX IF EXISTS /*schema.*/workflows_name_index;
DROP INDEX IF EXISTS /*schema.*/workflows_inserted_index;
