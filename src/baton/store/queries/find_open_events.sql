-- Finds events sent by a key that somebody has to finish handing out, the longest due first, past the event $3 that
-- was due at $2 ('-infinity' and 0: from the beginning).
SELECT e.id, e.wake_at::text AS wake_at
FROM /*schema.*/workflow_events e
WHERE e.state = 'open' AND e.wake_at <= now() AND (e.wake_at, e.id) > ($2::text::timestamptz, $3::bigint)
ORDER BY e.wake_at, e.id
LIMIT $1
