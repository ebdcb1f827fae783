-- Says that an engine is alive; also the first time, and again after its row was removed.
--
-- The clock of the database may be set back, or a failover bring a server whose clock is behind. A stamp of the future
-- says nothing then: one's own time of steady beats begins anew, and others that beat "later" than now count as seen
-- now. A living one overwrites that with its next beat; a dead one has been silent since.
WITH ahead AS MATERIALIZED (
    SELECT o.id
    FROM /*schema.*/baton_engines o
    WHERE o.id <> $1::text::uuid AND o.seen_at > now() + make_interval(secs => o.rescue_after / 3)
    FOR NO KEY UPDATE SKIP LOCKED
),
seen AS (
    UPDATE /*schema.*/baton_engines o
    SET seen_at = now(), steady_since = least(o.steady_since, now())
    FROM ahead a
    WHERE o.id = a.id
)
INSERT INTO /*schema.*/baton_engines AS e (id, name, node, rescue_after, place, process, process_start, queues)
VALUES ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
ON CONFLICT (id) DO UPDATE SET
    queues = excluded.queues,
    seen_at = now(),
    steady_since = CASE
        WHEN e.seen_at < now() - make_interval(secs => e.rescue_after / 2) OR e.seen_at > now() THEN now()
        ELSE least(e.steady_since, now())
    END
