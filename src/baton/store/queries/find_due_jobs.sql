-- The jobs that stage_jobs would make available now, at most $1, but for those in $2; in its order.
SELECT j.id
FROM /*oban.*/oban_jobs j
WHERE j.state IN ('scheduled', 'retryable') AND j.scheduled_at <= timezone('UTC', now())
AND j.id NOT IN (SELECT unnest($2::bigint[]))
ORDER BY j.scheduled_at, j.id
LIMIT $1
FOR UPDATE SKIP LOCKED
