-- Which of these tables the schema has.
SELECT c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = /*schema_literal*/'public' AND c.relkind IN ('r', 'p')
    AND c.relname IN ('baton_migrations', 'oban_jobs', 'workflows')
