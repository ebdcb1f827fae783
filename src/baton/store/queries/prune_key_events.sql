-- Deletes those of these locked events, which were sent by a key, that no wait has received, or none that is left.
WITH deleted AS (
    DELETE FROM /*schema.*/workflow_events e
    WHERE e.id = ANY ($1::bigint[])
    AND NOT EXISTS (
        SELECT
        FROM /*schema.*/workflow_wait_members m
        WHERE m.event_id = e.id AND m.event_id IS NOT NULL AND m.correlation_key IS NOT NULL
    )
    RETURNING e.id
)
SELECT count(*)::integer AS deleted FROM deleted
