-- Seconds until the next wait is due; NULL when none is.
SELECT extract(epoch FROM least(
    (
        SELECT g.wake_at FROM /*schema.*/workflow_wait_groups g
        WHERE g.wake_at IS NOT NULL ORDER BY g.wake_at LIMIT 1
    ),
    (SELECT e.wake_at FROM /*schema.*/workflow_events e WHERE e.state = 'open' ORDER BY e.wake_at LIMIT 1)
) - clock_timestamp())::double precision AS seconds
