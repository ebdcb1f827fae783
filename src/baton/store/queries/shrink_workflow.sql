-- Counts $2 steps less in workflow $1, of which $3 had not settled, $4 had failed and $5 had been skipped.
UPDATE /*schema.*/workflows w
SET steps = w.steps - $2::integer,
    outstanding = w.outstanding - $3::integer,
    failed = w.failed - $4::integer,
    skipped = w.skipped - $5::integer
WHERE w.id = $1
