-- Says that an engine is alive; also the first time, and again after its row was removed.
INSERT INTO /*schema.*/baton_engines (id, name, node, rescue_after)
VALUES ($1::text::uuid, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET seen_at = now()
