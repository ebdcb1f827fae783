-- Reads the engines that have not stopped, and for how many seconds each has been silent.
SELECT
    e.id AS engine_id,
    e.name,
    e.node,
    e.started_at,
    e.seen_at,
    e.rescue_after,
    e.queues::text AS queues,
    extract(epoch FROM clock_timestamp() - e.seen_at)::double precision AS silent_for
FROM /*schema.*/baton_engines e
ORDER BY e.name, e.started_at, e.id
