-- Writes what steps of new workflows wait for beside their dependencies: see baton_insert_conditions in the schema.
SELECT /*schema.*/baton_insert_conditions($1::pg_catalog.text)::pg_catalog.text AS done
