-- Gives a new workflow $1 the tags, attributes, input and output step of the one it comes from, $2, and notes that one, and that $3 of its
-- steps have settled, $4 of them failed and $5 skipped.
UPDATE /*schema.*/workflows w
SET forked_from = $2::uuid, outstanding = w.outstanding - $3::integer, failed = $4::integer,
    skipped = $5::integer, tags = s.tags, attributes = s.attributes, input = s.input, output_step = s.output_step
FROM /*schema.*/workflows s
WHERE w.id = $1 AND s.id = $2
