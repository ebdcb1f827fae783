-- Locks events that were sent by a key more than $1 seconds ago and are handed out, at most $4, past ($2, $3) in the
-- order of their sending. One that somebody is about to receive is passed by.
SELECT e.id, e.sent_at
FROM /*schema.*/workflow_events e
WHERE e.correlation_key IS NOT NULL
AND e.sent_at < now() - make_interval(secs => $1)
AND (e.sent_at, e.id) > ($2::timestamptz, $3::bigint)
AND (e.state = 'open') IS NOT TRUE
ORDER BY e.sent_at, e.id
LIMIT $4
FOR UPDATE SKIP LOCKED
