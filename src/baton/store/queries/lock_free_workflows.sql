-- Locks those of these workflows that nobody else has locked, in id order: for whoever comes again later.
SELECT w.id
FROM /*schema.*/workflows w
WHERE w.id = ANY ($1::uuid[])
ORDER BY w.id
FOR NO KEY UPDATE SKIP LOCKED
