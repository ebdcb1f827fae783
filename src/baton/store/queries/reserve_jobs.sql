-- Reserves ids for $1 jobs, and reads the clock once, so that all their rows agree.
SELECT
    (
        SELECT string_agg(nextval(r.sequence)::text, ',')
        FROM (
            SELECT pg_get_serial_sequence(
                concat(quote_ident(/*oban_literal*/'baton'), '.oban_jobs'), 'id'
            )::regclass AS sequence
        ) r, generate_series(1, $1::integer)
    ) AS job_ids,
    to_char(timezone('UTC', clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.US') AS now
