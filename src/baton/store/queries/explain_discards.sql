-- Notes an error in discarded jobs that have none of their last attempt: whoever discarded them gave no reason. The
-- caller holds their locks.
UPDATE /*oban.*/oban_jobs j
SET errors = j.errors || /*schema.*/baton_job_error(j.attempt, $2::text)
WHERE j.id = ANY ($1::bigint[]) AND (j.state = 'discarded') IS TRUE
AND NOT EXISTS (
    SELECT FROM jsonb_path_query(
        to_jsonb(j.errors), '$[*] ? (@.attempt == $attempt)', jsonb_build_object('attempt', j.attempt)
    )
)
