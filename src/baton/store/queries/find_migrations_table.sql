-- One row when the schema has a table of applied migrations.
SELECT c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = /*schema_literal*/'baton' AND c.relname = 'baton_migrations'
