-- Finds workflows whose deadline has passed, the oldest first, past the workflow $3 that was due at $2 ('-infinity' and
-- the lowest id: from the beginning).
SELECT d.workflow_id, d.deadline::text AS deadline
FROM /*schema.*/workflow_deadlines d
WHERE d.deadline <= now() AND (d.deadline, d.workflow_id) > ($2::text::timestamptz, $3::uuid)
ORDER BY d.deadline, d.workflow_id
LIMIT $1
