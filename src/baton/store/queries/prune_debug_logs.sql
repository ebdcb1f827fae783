-- Deletes debug logs older than $1 seconds, the oldest first, at most $4, past ($2, $3) in that order; whatever their
-- jobs and workflows do. Tells where it came to, and how many there were. Without $5 it only looks.
WITH old AS MATERIALIZED (
    SELECT d.id, d.recorded_at
    FROM /*schema.*/workflow_debug_logs d
    WHERE d.recorded_at < now() - make_interval(secs => $1)
    AND d.recorded_at >= $2::timestamptz
    AND (d.recorded_at, d.id) > ($2::timestamptz, $3::uuid)
    ORDER BY d.recorded_at, d.id
    LIMIT $4
    FOR UPDATE SKIP LOCKED
),
deleted AS (
    DELETE FROM /*schema.*/workflow_debug_logs l
    USING old o
    WHERE $5::boolean AND l.id = o.id
    RETURNING l.id
)
SELECT
    (SELECT count(*) FROM old)::integer AS looked_at,
    (SELECT count(*) FROM deleted)::integer AS deleted,
    (SELECT o.recorded_at FROM old o ORDER BY o.recorded_at DESC, o.id DESC LIMIT 1) AS at,
    (SELECT o.id FROM old o ORDER BY o.recorded_at DESC, o.id DESC LIMIT 1) AS id
