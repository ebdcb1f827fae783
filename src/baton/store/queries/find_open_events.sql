-- Finds events sent by a key that somebody has to finish handing out.
SELECT e.id
FROM /*schema.*/workflow_events e
WHERE e.state = 'open' AND e.wake_at <= now()
ORDER BY e.wake_at, e.id
LIMIT $1
