-- Reads an event sent by a key.
SELECT e.name, e.payload::text AS payload
FROM /*schema.*/workflow_events e
WHERE e.id = $1
