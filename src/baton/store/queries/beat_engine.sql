-- Says that an engine is alive; also the first time, and again after its row was removed.
INSERT INTO /*schema.*/baton_engines (id, name, node) VALUES ($1::text::uuid, $2, $3)
ON CONFLICT (id) DO UPDATE SET seen_at = now()
