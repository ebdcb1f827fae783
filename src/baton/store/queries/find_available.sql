-- The jobs of queue $1 that baton_settle_and_claim would claim now, at most $2, but for those in $3; in its order.
SELECT j.id
FROM /*oban.*/oban_jobs j
WHERE j.state = 'available' AND j.queue = $1 AND j.attempt < j.max_attempts
AND j.id <> ALL ($3::bigint[])
ORDER BY j.priority, j.scheduled_at, j.id
LIMIT $2
FOR UPDATE SKIP LOCKED
