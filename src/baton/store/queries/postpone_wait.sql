-- Looks at a group again in a minute: the database refused what settling it would write.
UPDATE /*schema.*/workflow_wait_groups g
SET wake_at = clock_timestamp() + interval '1 minute'
WHERE g.id = $1 AND g.status = 'pending'
