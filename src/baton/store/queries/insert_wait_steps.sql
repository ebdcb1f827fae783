-- Writes the wait steps of new workflows and arms those without dependencies: see baton_insert_wait_steps in the schema.
SELECT /*schema.*/baton_insert_wait_steps($1::pg_catalog.text, $2::pg_catalog.text::pg_catalog.bool)::pg_catalog.text AS done
