-- Writes outcomes that leave a job unfinished, each fenced on its claim. Returns the ids written.
-- The rows are locked in id order first: an update locks them in the order of its plan, and whoever cancels
-- the workflow meanwhile goes by id.
--
-- An attempt that is given back with an error was rescued from a dead engine; rescues are counted by that mark.
WITH locked AS MATERIALIZED (
    SELECT j.id FROM /*oban.*/oban_jobs j WHERE j.id = ANY ($1::bigint[]) ORDER BY j.id FOR NO KEY UPDATE
),
written AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = o.state::/*oban.*/oban_job_state,
        scheduled_at = CASE
            WHEN o.delay IS NULL THEN j.scheduled_at
            ELSE timezone('UTC', clock_timestamp()) + make_interval(secs => o.delay)
        END,
        attempt = greatest(j.attempt + o.attempt_change, 0),
        errors = CASE
            WHEN o.error IS NULL THEN j.errors
            ELSE j.errors || (
                /*schema.*/baton_job_error(j.attempt, o.error)
                || CASE WHEN o.attempt_change < 0 THEN '{"rescued": true}'::jsonb ELSE '{}'::jsonb END
            )
        END
    FROM unnest(
        $1::bigint[], $2::timestamp[], $3::text[], $4::double precision[], $5::integer[], $6::text[]
    ) AS o (id, claim, state, delay, attempt_change, error)
    JOIN locked l ON l.id = o.id
    WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
    RETURNING j.id, j.queue, j.state
),
notified AS (
    SELECT /*schema.*/baton_notify_jobs(w.queue)
    FROM (SELECT DISTINCT queue FROM written WHERE state = 'available') w
    WHERE $7::boolean
)
SELECT w.id, (SELECT count(*) FROM notified) AS notified
FROM written w
