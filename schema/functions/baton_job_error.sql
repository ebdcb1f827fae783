-- An entry of a job's errors, in the form that Oban gives them. Its body is one expression without settings, so that
-- the planner puts it in the place of the call.
CREATE OR REPLACE FUNCTION /*schema.*/baton_job_error(p_attempt integer, p_error text)
RETURNS jsonb
LANGUAGE sql
AS $error$
    SELECT pg_catalog.jsonb_build_object(
        'attempt', p_attempt,
        'at', pg_catalog.to_char(
            pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
        ),
        'error', p_error
    )
$error$;
