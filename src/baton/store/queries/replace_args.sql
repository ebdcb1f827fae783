-- Gives jobs other arguments, as JSON text.
UPDATE /*oban.*/oban_jobs j
SET args = o.args::jsonb
FROM unnest($1::bigint[], $2::text[]) AS o (id, args)
WHERE j.id = o.id
