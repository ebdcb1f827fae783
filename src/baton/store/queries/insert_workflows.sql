-- Takes the rows of new workflows, and with them their locks, in id order; reserves ids for their jobs;
-- reads the clock once, so that all rows of one insertion agree. A workflow that exists is not returned.
--
-- Everything crosses as text and is cast here, and every name is qualified: the connection may have codecs
-- and a search path of its caller's. (Unnesting several arrays at once is syntax, always PostgreSQL's own.)
WITH clock AS MATERIALIZED (
    SELECT pg_catalog.clock_timestamp() AS now
),
-- The sequence is looked up once, not for every id.
reserved AS MATERIALIZED (
    SELECT pg_catalog.pg_get_serial_sequence(
        pg_catalog.concat(pg_catalog.quote_ident(/*oban_literal*/'baton'), '.oban_jobs'), 'id'
    )::pg_catalog.regclass AS sequence
),
inserted AS (
    INSERT INTO /*schema.*/workflows AS w (
        id, name, steps, outstanding, debug, trace_context, inserted_at, tags, attributes, input, output_step
    )
    SELECT
        n.id::pg_catalog.uuid,
        n.name,
        n.steps::pg_catalog.int4,
        n.steps::pg_catalog.int4,
        n.debug::pg_catalog.bool,
        n.trace_context::pg_catalog.jsonb,
        c.now,
        n.tags::pg_catalog.text[],
        n.attributes::pg_catalog.jsonb,
        n.input::pg_catalog.jsonb,
        n.output_step
    FROM clock c, unnest(
        $1::pg_catalog.text[],
        $2::pg_catalog.text[],
        $3::pg_catalog.text[],
        $4::pg_catalog.text[],
        $5::pg_catalog.text[],
        $6::pg_catalog.text[],
        $7::pg_catalog.text[],
        $8::pg_catalog.text[],
        $9::pg_catalog.text[]
    ) AS n (id, name, steps, debug, trace_context, tags, attributes, input, output_step)
    ORDER BY n.id::pg_catalog.uuid
    ON CONFLICT DO NOTHING
    RETURNING w.id
)
SELECT
    (SELECT pg_catalog.string_agg(i.id::pg_catalog.text, ',') FROM inserted i) AS workflow_ids,
    (
        SELECT pg_catalog.string_agg(pg_catalog.nextval(r.sequence)::pg_catalog.text, ',')
        FROM reserved r, pg_catalog.generate_series(1, $10::pg_catalog.text::pg_catalog.int4)
    ) AS job_ids,
    pg_catalog.to_char(pg_catalog.timezone('UTC', c.now), 'YYYY-MM-DD"T"HH24:MI:SS.US') AS now
FROM clock c
