-- What the steps of a workflow captured, in the order written, after a given entry.
SELECT l.id, l.workflow_id, l.step, l.attempt, l.label, l.content::text AS content, l.recorded_at
FROM /*schema.*/workflow_debug_logs l
WHERE l.workflow_id = $1
    AND ($2::text IS NULL OR l.step = $2)
    AND ($3::timestamptz IS NULL OR (l.recorded_at, l.id) > ($3, $4::uuid))
ORDER BY l.recorded_at, l.id
LIMIT $5
