-- Counts settled, failed and skipped steps off their workflows; the caller holds the workflows' locks.
UPDATE /*schema.*/workflows w
SET outstanding = w.outstanding - o.settled,
    failed = w.failed + o.failed,
    skipped = w.skipped + o.skipped,
    finished_at = CASE WHEN w.outstanding = o.settled THEN clock_timestamp() END
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[]) AS o (id, settled, failed, skipped)
WHERE w.id = o.id
RETURNING w.id, w.outstanding
