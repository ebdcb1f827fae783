-- Looks at $2 workflows in id order past $1: those among them that have ended and were never announced, the last
-- one looked at, and how many there were.
SELECT
    array_agg(w.id ORDER BY w.id) FILTER (
        WHERE w.outstanding = 0
        AND NOT EXISTS (SELECT FROM /*schema.*/workflow_completions c WHERE c.workflow_id = w.id AND c.run = w.run)
    ) AS unannounced,
    (array_agg(w.id ORDER BY w.id DESC))[1] AS last,
    count(*)::integer AS looked_at
FROM (
    SELECT w.id, w.outstanding, w.run
    FROM /*schema.*/workflows w
    WHERE w.id > $1
    ORDER BY w.id
    LIMIT $2
) w
