-- The schemas of this database that have a table of applied migrations, a few of them.
SELECT n.nspname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'baton_migrations' AND c.relkind IN ('r', 'p')
ORDER BY 1
LIMIT 5
