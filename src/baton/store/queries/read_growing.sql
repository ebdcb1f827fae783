-- What a workflow, which is locked, gives the jobs of its steps.
SELECT w.name AS workflow_name, w.debug, w.trace_context::text AS trace_context
FROM /*schema.*/workflows w
WHERE w.id = $1
