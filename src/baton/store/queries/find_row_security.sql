-- The tables of the schema whose row-level security applies to this role.
SELECT c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = /*schema_literal*/'public' AND c.relkind IN ('r', 'p')
    AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
