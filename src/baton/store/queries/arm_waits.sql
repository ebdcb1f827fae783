-- Begins the waits of jobs: see baton_arm in the schema.
SELECT kind, id, data, workflow_id FROM /*schema.*/baton_arm($1::bigint[], true, $2, $3)
