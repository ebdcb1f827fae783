-- The tables of Baton's schema, and oban_jobs in its own, whose row-level security applies to this role.
SELECT c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (
        n.nspname = /*schema_literal*/'baton' AND c.relname <> 'oban_jobs'
        OR n.nspname = /*oban_literal*/'baton' AND c.relname = 'oban_jobs'
    )
    AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
