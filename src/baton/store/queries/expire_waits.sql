-- Decides groups whose time has come: see baton_expire in the schema.
SELECT kind, id, data, workflow_id FROM /*schema.*/baton_expire($1::bigint[], $2)
