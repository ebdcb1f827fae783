-- Of the given workflow ids, those that exist neither as a workflow nor as a completion.
SELECT o.id
FROM unnest($1::uuid[]) AS o (id)
WHERE NOT EXISTS (SELECT FROM /*schema.*/workflows w WHERE w.id = o.id)
AND NOT EXISTS (SELECT FROM /*schema.*/workflow_completions c WHERE c.workflow_id = o.id)
