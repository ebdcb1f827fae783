-- Counts $2 new steps in workflow $1, which has not ended.
UPDATE /*schema.*/workflows w
SET steps = w.steps + $2::integer, outstanding = w.outstanding + $2::integer
WHERE w.id = $1
