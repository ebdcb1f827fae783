-- Looks at $3 workflows in id order past $1: those among them that have not ended, as many as have $2 outstanding
-- steps together, and at least one; whether there were more of them, the last one looked at, and how many there were.
-- There is no index of what has not ended: to keep one would cost every ending workflow its heap-only update.
SELECT
    coalesce(array_agg(o.id ORDER BY o.id) FILTER (WHERE o.steps > 0 AND o.before < $2), '{}') AS found,
    coalesce(bool_or(o.steps > 0 AND o.before >= $2), false) AS more,
    max(o.id::text)::uuid AS last,
    count(*)::integer AS looked_at
FROM (
    SELECT w.id, w.steps, sum(w.steps) OVER (ORDER BY w.id) - w.steps AS before
    FROM (
        SELECT w.id, CASE WHEN w.finished_at IS NULL THEN w.outstanding + 1 ELSE 0 END AS steps
        FROM /*schema.*/workflows w
        WHERE w.id > $1
        ORDER BY w.id
        LIMIT $3
    ) w
) o
