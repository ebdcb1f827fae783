-- Reads the completions of those of the given workflows that have finished; a row without one is of a workflow that
-- does not exist, or no longer.
SELECT o.id AS workflow_id, row_to_json(c)::text AS completion
FROM unnest($1::uuid[]) AS o (id)
LEFT JOIN /*schema.*/workflow_completions c ON c.workflow_id = o.id
WHERE c.workflow_id IS NOT NULL OR NOT EXISTS (SELECT FROM /*schema.*/workflows w WHERE w.id = o.id)
