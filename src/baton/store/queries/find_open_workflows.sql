-- Reads workflows that have not ended, in id order past $1, as many as have $2 outstanding steps together, and at
-- least one.
SELECT o.id, o.outstanding
FROM (
    SELECT w.id, w.outstanding, sum(w.outstanding + 1) OVER (ORDER BY w.id) - w.outstanding - 1 AS before
    FROM (
        SELECT w.id, w.outstanding
        FROM /*schema.*/workflows w
        WHERE w.finished_at IS NULL AND w.id > $1
        ORDER BY w.id
        LIMIT $2
    ) w
) o
WHERE o.before < $2
ORDER BY o.id
