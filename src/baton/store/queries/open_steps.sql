-- Opens steps whose dependencies have settled: see baton_open in the schema.
SELECT kind, id, data, workflow_id FROM /*schema.*/baton_open($1::bigint[], true, $2, $3)
