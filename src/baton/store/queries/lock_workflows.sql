-- Locks workflows in id order: the first statement of every change of a workflow.
SELECT w.id
FROM /*schema.*/workflows w
WHERE w.id = ANY ($1::uuid[])
ORDER BY w.id
FOR NO KEY UPDATE
