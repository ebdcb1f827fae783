-- Counts the waits that are not over, with the age in seconds of the one that was armed first; takes time in
-- proportion to them, whatever the number of those that are over.
SELECT
    count(*)::integer AS open,
    coalesce(extract(epoch FROM clock_timestamp() - min(g.armed_at)), 0)::double precision AS oldest
FROM /*schema.*/workflow_wait_groups g
WHERE g.status = 'pending'
