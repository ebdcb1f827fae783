-- Whether waits are due, and seconds until the next one will be; NULL when there is none.
SELECT
    EXISTS (
        SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.wake_at IS NOT NULL AND g.wake_at <= now()
    ) AS due,
    extract(epoch FROM (
        SELECT g.wake_at FROM /*schema.*/workflow_wait_groups g
        WHERE g.wake_at IS NOT NULL AND g.wake_at > now()
        ORDER BY g.wake_at
        LIMIT 1
    ) - clock_timestamp())::double precision AS seconds
