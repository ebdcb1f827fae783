-- The states that the schema's oban_job_state knows, in their order.
SELECT e.enumlabel::pg_catalog.text AS state
FROM pg_catalog.pg_enum e
JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = /*schema_literal*/'public' AND t.typname = 'oban_job_state'
ORDER BY e.enumsortorder
