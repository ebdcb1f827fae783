-- Deletes debug logs older than $1 seconds, the oldest first, at most $2; whatever their jobs and workflows do.
WITH deleted AS (
    DELETE FROM /*schema.*/workflow_debug_logs l
    USING (
        SELECT d.id
        FROM /*schema.*/workflow_debug_logs d
        WHERE d.recorded_at < now() - make_interval(secs => $1)
        ORDER BY d.recorded_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) d
    WHERE l.id = d.id
    RETURNING l.id
)
SELECT count(*)::integer AS deleted FROM deleted
