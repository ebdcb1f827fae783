-- What the two schemas hold, one fact a row: tables (detail: whether row level security applies to this role), triggers
-- whose functions run with the search path of whoever changes a row (part: the table, detail: the function), valid
-- indexes (unique or plain), columns of Baton's tables and of the queue's (their types, as pg_type names them: "_text"
-- is an array of text), the states that oban_job_state knows, Baton's functions (a SHA-256 of all that makes them
-- what they are, and whether they work on another schema), and the schema of the oban_jobs that Baton's tables go with
-- (oban), which is that of the type of a deleted job's state.
SELECT
    'table' AS kind, c.relname::pg_catalog.text AS name, '' AS part,
    CASE WHEN c.relrowsecurity AND pg_catalog.row_security_active(c.oid) THEN 'secured' ELSE '' END AS detail
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (
        n.nspname = /*schema_literal*/'baton' AND c.relname ~ '^(baton_|workflow)'
        OR n.nspname = /*oban_literal*/'baton' AND c.relname = 'oban_jobs'
    )
UNION ALL
SELECT 'trigger', t.tgname::pg_catalog.text, c.relname::pg_catalog.text, p.oid::pg_catalog.regprocedure::pg_catalog.text
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE (
        n.nspname = /*schema_literal*/'baton' AND c.relname <> 'oban_jobs'
        OR n.nspname = /*oban_literal*/'baton' AND c.relname = 'oban_jobs'
    )
    AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    AND l.lanname NOT IN ('c', 'internal')
    AND NOT EXISTS (
        SELECT FROM pg_catalog.unnest(p.proconfig) AS s (setting)
        WHERE s.setting LIKE 'search_path=%'
    )
UNION ALL
SELECT 'index', c.relname::pg_catalog.text, '', CASE WHEN i.indisunique THEN 'unique' ELSE 'plain' END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
JOIN pg_catalog.pg_class o ON o.oid = i.indrelid AND o.relnamespace = n.oid
WHERE i.indisvalid AND (
        n.nspname = /*schema_literal*/'baton' AND o.relname ~ '^(baton_|workflow)'
        OR n.nspname = /*oban_literal*/'baton' AND o.relname = 'oban_jobs'
    )
UNION ALL
SELECT
    'column', c.relname::pg_catalog.text, a.attname::pg_catalog.text,
    CASE
        WHEN t.typname = 'oban_job_state' AND tn.nspname = /*oban_literal*/'baton' THEN 'oban_job_state'
        WHEN t.typname <> 'oban_job_state' AND t.typnamespace IN (n.oid, 'pg_catalog'::pg_catalog.regnamespace)
        THEN t.typname::pg_catalog.text
    ELSE pg_catalog.format('%I.%I', tn.nspname, t.typname) END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
WHERE c.relkind IN ('r', 'p') AND (
        n.nspname = /*schema_literal*/'baton' AND c.relname ~ '^(baton_|workflow)'
        OR n.nspname = /*oban_literal*/'baton' AND c.relname = 'oban_jobs'
    )
    AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'state', e.enumlabel::pg_catalog.text, '', ''
FROM pg_catalog.pg_enum e
JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = /*oban_literal*/'baton' AND t.typname = 'oban_job_state'
UNION ALL
SELECT 'oban', tn.nspname::pg_catalog.text, '', ''
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
WHERE n.nspname = /*schema_literal*/'baton' AND c.relname = 'workflow_deleted_jobs' AND a.attname = 'state'
    AND t.typname = 'oban_job_state'
UNION ALL
SELECT
    'function', p.proname::pg_catalog.text,
    CASE WHEN pg_catalog.strpos(p.prosrc, ' ' || pg_catalog.quote_ident(n.nspname) || '.')
        + pg_catalog.strpos(p.prosrc, ' "' || n.nspname || '".') = 0
        AND p.prosrc ~ '[.](oban_job|workflow|baton_)'
    THEN 'elsewhere' ELSE '' END,
    pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(
        E'\n',
        p.pronargs,
        coalesce(pg_catalog.array_to_string(p.proargnames, ','), ''),
        pg_catalog.array_to_string(ARRAY(
            SELECT t.typname
            FROM pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]))
                WITH ORDINALITY AS a (type, position)
            JOIN pg_catalog.pg_type t ON t.oid = a.type
            ORDER BY a.position
        ), ','),
        (SELECT t.typname FROM pg_catalog.pg_type t WHERE t.oid = p.prorettype),
        l.lanname,
        p.provolatile,
        p.prosecdef,
        coalesce(pg_catalog.array_to_string(p.proconfig, ';'), ''),
        pg_catalog.replace(p.prosrc, E'\r', '')
    ), 'UTF8')), 'hex')
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname = /*schema_literal*/'baton' AND p.proname ~ '^baton_'
