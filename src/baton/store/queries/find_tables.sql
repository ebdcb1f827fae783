-- Which of these tables there are, each in its schema.
SELECT c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (
    n.nspname = /*schema_literal*/'baton' AND c.relname IN ('baton_migrations', 'workflows')
    OR n.nspname = /*oban_literal*/'baton' AND c.relname = 'oban_jobs'
)
