-- Writes terminal failures, each fenced on its claim. Returns the ids written. One without an error failed before and
-- was moved by hand: its errors, its attempt and the time of its end stay what they were.
-- The rows are locked in id order first, as wherever several jobs are locked.
WITH locked AS MATERIALIZED (
    SELECT j.id FROM /*oban.*/oban_jobs j WHERE j.id = ANY ($1::bigint[]) ORDER BY j.id FOR NO KEY UPDATE
)
UPDATE /*oban.*/oban_jobs j
SET state = o.state::/*oban.*/oban_job_state,
    cancelled_at = CASE
        WHEN o.state <> 'cancelled' OR o.error IS NULL AND j.cancelled_at IS NOT NULL THEN j.cancelled_at
        ELSE timezone('UTC', clock_timestamp())
    END,
    discarded_at = CASE
        WHEN o.state <> 'discarded' OR o.error IS NULL AND j.discarded_at IS NOT NULL THEN j.discarded_at
        ELSE timezone('UTC', clock_timestamp())
    END,
    attempt = greatest(j.attempt + o.attempt_change, 0),
    errors = CASE
        WHEN o.error IS NULL THEN j.errors
        ELSE j.errors || /*schema.*/baton_job_error(j.attempt, o.error)
    END
FROM unnest(
    $1::bigint[], $2::timestamp[], $3::text[], $4::text[], $5::integer[]
) AS o (id, claim, state, error, attempt_change)
JOIN locked l ON l.id = o.id
WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
RETURNING j.id
