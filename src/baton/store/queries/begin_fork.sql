-- Notes in a new workflow $1 where it comes from, $2, and that $3 of its steps have settled, $4 of them failed and
-- $5 skipped.
UPDATE /*schema.*/workflows w
SET forked_from = $2::uuid, outstanding = w.outstanding - $3::integer, failed = $4::integer,
    skipped = $5::integer
WHERE w.id = $1
