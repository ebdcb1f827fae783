-- Locks one workflow and tells where it stands.
SELECT w.run, w.steps, w.outstanding, w.paused_at IS NOT NULL AS paused
FROM /*schema.*/workflows w
WHERE w.id = $1
FOR NO KEY UPDATE
