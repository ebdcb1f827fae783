-- Writes jobs and nodes of new steps, and wakes the queues that got something to run. $25 is the job of the step that
-- adds them, NULL where nobody does.
--
-- Each parameter is a column, its values joined by the control character 0x1F, which no name and no JSON text
-- contains, and '' for NULL: the driver takes twice as long over an array as the server over all the rest.
--
-- `errors` is left to its default: its type differs between Oban's tables. Identity columns of oban-py's
-- want OVERRIDING; Elixir's serial ones ignore it.
WITH steps AS MATERIALIZED (
    SELECT
        s.id::pg_catalog.int8 AS id,
        s.workflow_id::pg_catalog.uuid AS workflow_id,
        s.name,
        s.state,
        s.queue,
        s.worker,
        s.args,
        s.meta,
        s.tags,
        s.priority,
        s.max_attempts,
        s.scheduled_at,
        s.timeout,
        s.deps,
        s.dependents,
        s.pending,
        s.ignore_cancelled,
        s.ignore_discarded,
        s.run_when_skipped,
        s.model,
        s.debug
    FROM (VALUES (E'\x1f')) AS d (delimiter), unnest(
        pg_catalog.string_to_array($1::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($2::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($3::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($4::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($5::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($6::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($7::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($8::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($9::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($10::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($11::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($12::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($13::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($14::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($15::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($16::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($17::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($18::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($19::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($20::pg_catalog.text, d.delimiter, ''),
        pg_catalog.string_to_array($21::pg_catalog.text, d.delimiter, '')
    ) AS s (
        id, workflow_id, name, state, queue, worker, args, meta, tags, priority, max_attempts,
        scheduled_at, timeout, deps, dependents, pending, ignore_cancelled, ignore_discarded,
        run_when_skipped, model, debug
    )
),
jobs AS (
    INSERT INTO /*oban.*/oban_jobs (
        id, state, queue, worker, args, meta, tags, priority, max_attempts, inserted_at, scheduled_at
    )
    OVERRIDING SYSTEM VALUE
    SELECT
        s.id,
        s.state::/*oban.*/oban_job_state,
        s.queue,
        s.worker,
        s.args::pg_catalog.jsonb,
        pg_catalog.jsonb_concat(
            pg_catalog.jsonb_build_object('workflow_id', s.workflow_id, 'workflow_name', s.name),
            s.meta::pg_catalog.jsonb
        ),
        s.tags::pg_catalog.text[],
        s.priority::pg_catalog.int4,
        s.max_attempts::pg_catalog.int4,
        $22::pg_catalog.text::pg_catalog.timestamp,
        COALESCE(s.scheduled_at, $22::pg_catalog.text)::pg_catalog.timestamp
    FROM steps s
),
nodes AS (
    INSERT INTO /*schema.*/workflow_nodes (
        job_id, workflow_id, name, deps, dependents, pending, ignore_cancelled, ignore_discarded,
        run_when_skipped, timeout, model, debug, grown_by
    )
    SELECT
        s.id,
        s.workflow_id,
        s.name,
        s.deps::pg_catalog.int8[],
        s.dependents::pg_catalog.int8[],
        s.pending::pg_catalog.int4,
        s.ignore_cancelled::pg_catalog.bool,
        s.ignore_discarded::pg_catalog.bool,
        s.run_when_skipped::pg_catalog.bool,
        s.timeout::pg_catalog.float8,
        s.model,
        s.debug::pg_catalog.bool,
        $25::pg_catalog.text::pg_catalog.int8
    FROM steps s
)
SELECT pg_catalog.pg_notify($23::pg_catalog.text, n.payload)::pg_catalog.text AS notified
FROM pg_catalog.unnest($24::pg_catalog.text[]) AS n (payload)
