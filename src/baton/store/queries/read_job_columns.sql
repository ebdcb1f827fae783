-- The columns of oban_jobs and their types, as pg_type names them ("_text" is an array of text).
SELECT a.attname::pg_catalog.text AS name, t.typname::pg_catalog.text AS type
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = /*schema_literal*/'public'
    AND c.relname = 'oban_jobs'
    AND a.attnum > 0
    AND NOT a.attisdropped
ORDER BY a.attnum
