-- Reads the other engines: whose process may be looked for, because it was recorded where $2 is, and which have been
-- silent for so long that nothing is left to be known from their rows.
SELECT
    e.id::text AS id,
    e.place,
    e.process,
    e.process_start,
    e.seen_at < now() - make_interval(secs => 5 * greatest(e.rescue_after, $3)) AS forgotten
FROM /*schema.*/baton_engines e
WHERE e.id <> $1::text::uuid
AND (e.place = $2::text OR e.seen_at < now() - make_interval(secs => 5 * greatest(e.rescue_after, $3)))
