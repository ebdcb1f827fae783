-- Notes the end of workflows without outstanding steps, where settling has not.
UPDATE /*schema.*/workflows w
SET finished_at = clock_timestamp()
WHERE w.id = ANY ($1::uuid[]) AND w.outstanding = 0 AND w.finished_at IS NULL
