-- Whether events sent by a key are to be handed out, and seconds until the next one will be; NULL when there is none.
SELECT
    EXISTS (SELECT FROM /*schema.*/workflow_events e WHERE e.state = 'open' AND e.wake_at <= now()) AS due,
    extract(epoch FROM (
        SELECT e.wake_at FROM /*schema.*/workflow_events e
        WHERE e.state = 'open' AND e.wake_at > now()
        ORDER BY e.wake_at
        LIMIT 1
    ) - clock_timestamp())::double precision AS seconds
