-- Reads the completions of those of the given workflows that have finished.
SELECT c.workflow_id, row_to_json(c)::text AS completion
FROM /*schema.*/workflow_completions c
WHERE c.workflow_id = ANY ($1::uuid[])
