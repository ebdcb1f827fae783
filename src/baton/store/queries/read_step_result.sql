-- Reads the result of one step of a workflow, by name.
SELECT n.state::text AS state, (n.result -> 'value')::text AS result
FROM /*schema.*/workflow_nodes n
WHERE n.workflow_id = $1 AND n.name = $2
