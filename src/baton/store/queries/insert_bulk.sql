-- Writes down an operation on many workflows before it begins; repeated after a lost reply it is there already. What
-- finished long ago is forgotten.
WITH old AS (
    DELETE FROM /*schema.*/baton_bulk b
    WHERE b.finished_at < clock_timestamp() - make_interval(days => $8::integer)
)
INSERT INTO /*schema.*/baton_bulk (id, action, filter, options, actor, reason, matched)
VALUES ($1, $2, $3::text::jsonb, $4::text::jsonb, $5, $6, $7)
ON CONFLICT (id) DO NOTHING
