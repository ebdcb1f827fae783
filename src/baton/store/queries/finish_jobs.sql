-- Writes terminal failures, each fenced on its claim. Returns the ids written.
-- The rows are locked in id order first, as wherever several jobs are locked.
WITH locked AS MATERIALIZED (
    SELECT j.id FROM /*schema.*/oban_jobs j WHERE j.id = ANY ($1::bigint[]) ORDER BY j.id FOR NO KEY UPDATE
)
UPDATE /*schema.*/oban_jobs j
SET state = o.state::/*schema.*/oban_job_state,
    cancelled_at = CASE
        WHEN o.state = 'cancelled' THEN timezone('UTC', clock_timestamp()) ELSE j.cancelled_at
    END,
    discarded_at = CASE
        WHEN o.state = 'discarded' THEN timezone('UTC', clock_timestamp()) ELSE j.discarded_at
    END,
    errors = j.errors || jsonb_build_object(
        'attempt', j.attempt,
        'at', to_char(timezone('UTC', clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'error', coalesce(o.error, '')
    )
FROM unnest($1::bigint[], $2::timestamp[], $3::text[], $4::text[]) AS o (id, claim, state, error)
JOIN locked l ON l.id = o.id
WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
RETURNING j.id
