-- Locks workflows to be pruned, in id order: those that have ended, were announced, and nobody works on.
SELECT w.id
FROM /*schema.*/workflows w
WHERE w.id = ANY ($1::uuid[])
AND w.outstanding = 0
AND EXISTS (SELECT FROM /*schema.*/workflow_completions c WHERE c.workflow_id = w.id)
ORDER BY w.id
FOR UPDATE SKIP LOCKED
