-- Reads an event sent by a key, with the schemas of those who wait for it.
SELECT
    e.name,
    e.payload::text AS payload,
    ARRAY(
        SELECT DISTINCT g.answers::text
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (ARRAY(
            SELECT m.group_id FROM /*schema.*/workflow_wait_members m
            WHERE m.correlation = e.correlation AND m.name = e.name AND m.state = 'waiting'
            AND m.correlation IS NOT NULL
        )) AND g.answers IS NOT NULL
    ) AS schemas
FROM /*schema.*/workflow_events e
WHERE e.id = $1
