-- Puts the jobs of waiting steps to sleep: see baton_suspend in the schema.
SELECT kind, id, data, workflow_id FROM /*schema.*/baton_suspend($1::bigint[], $2::timestamp[], $3::text[], $4)
