-- Claims those of the jobs $1 that are available for $2, as baton_settle_and_claim does; the caller undoes it.
WITH locked AS MATERIALIZED (
    SELECT j.id
    FROM /*oban.*/oban_jobs j
    WHERE j.id = ANY ($1::bigint[]) AND (j.state = 'available') IS TRUE AND j.attempt < j.max_attempts
    ORDER BY j.id
    FOR UPDATE SKIP LOCKED
)
UPDATE /*oban.*/oban_jobs j
SET state = 'executing',
    attempt = j.attempt + 1,
    attempted_at = timezone('UTC', clock_timestamp()),
    attempted_by = $2::text[]
FROM locked l
WHERE j.id = l.id
