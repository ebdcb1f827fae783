-- How far the sequences of Baton's ids are; none where this role may not look at them, or at the
-- tables whose ids they give.
SELECT
    t.name,
    CASE WHEN t.may_look THEN pg_catalog.pg_sequence_last_value(t.sequence) END AS last,
    t.may_look
FROM (
    SELECT
        c.relname::pg_catalog.text AS name,
        s.sequence,
        pg_catalog.has_sequence_privilege(s.sequence, 'USAGE, SELECT')
            AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
            AND pg_catalog.has_table_privilege(
                pg_catalog.quote_ident(/*schema_literal*/'baton') || '.workflow_nodes', 'SELECT'
            ) AS may_look
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT pg_catalog.pg_get_serial_sequence(
            pg_catalog.quote_ident(n.nspname) || '.' || c.relname, 'id'
        )::pg_catalog.regclass AS sequence
    ) s
    WHERE (
            n.nspname = /*schema_literal*/'baton' AND c.relname IN ('workflow_wait_groups', 'workflow_events')
            OR n.nspname = /*oban_literal*/'baton' AND c.relname = 'oban_jobs'
        )
        AND s.sequence IS NOT NULL
) t
