-- Reads the output step of workflow $1, how it settled and its result.
SELECT w.output_step, n.state::text AS state, (n.result -> 'value')::text AS result
FROM /*schema.*/workflows w
LEFT JOIN /*schema.*/workflow_nodes n ON n.workflow_id = w.id AND n.name = w.output_step
WHERE w.id = $1
