-- Says that an engine is alive; also the first time, and again after its row was removed.
INSERT INTO /*schema.*/baton_engines AS e (id, name, node, rescue_after)
VALUES ($1::text::uuid, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET
    seen_at = now(),
    steady_since = CASE
        WHEN e.seen_at < now() - make_interval(secs => e.rescue_after / 2) THEN now() ELSE e.steady_since
    END
