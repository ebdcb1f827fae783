-- Locks a workflow unless somebody else has it locked: a sweep passes it by.
SELECT w.id
FROM /*schema.*/workflows w
WHERE w.id = $1
FOR NO KEY UPDATE SKIP LOCKED
