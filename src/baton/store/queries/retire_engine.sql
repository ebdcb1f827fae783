-- Removes an engine that stopped, and those that have been silent for a day.
DELETE FROM /*schema.*/baton_engines
WHERE id = $1::text::uuid OR seen_at < now() - interval '1 day'
