DROP INDEX /*schema.*/workflow_completions_failed_index;
DROP INDEX /*schema.*/workflows_name_index;
DROP INDEX /*schema.*/workflows_inserted_index;
