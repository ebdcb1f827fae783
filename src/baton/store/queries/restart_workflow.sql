-- Takes $2 settled steps, $3 of them failed and $4 skipped, back into the count of workflow $1; one that had ended
-- begins its next run. Returns the run.
UPDATE /*schema.*/workflows w
SET outstanding = w.outstanding + $2::integer,
    failed = w.failed - $3::integer,
    skipped = w.skipped - $4::integer,
    finished_at = NULL,
    run = w.run + (w.outstanding = 0)::integer
WHERE w.id = $1
RETURNING w.run
