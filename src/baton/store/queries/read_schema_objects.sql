-- The schema's tables, valid indexes and functions, by name.
SELECT 'table' AS kind, c.relname::pg_catalog.text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = /*schema_literal*/'public' AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'index', c.relname::pg_catalog.text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE n.nspname = /*schema_literal*/'public' AND i.indisvalid
UNION ALL
SELECT 'function', p.proname::pg_catalog.text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = /*schema_literal*/'public'
