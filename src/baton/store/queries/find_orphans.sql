-- Finds executing jobs nobody runs: claimed by a Baton engine whose process is known to be gone ($8), or that is
-- without a live heartbeat ($1 seconds, or more by the engine's own word; engine $2, who asks, must have been steady
-- for as long), claimed by engine $2 itself but unknown to it ($3: the ids it knows; a claim's reply was lost) for
-- longer than $4 seconds, or of a host without heartbeats and older than $5 seconds (NULL: never). The age of a claim
-- "of the future", made before the clock was set back, is not known here: it comes marked as ahead. Whoever acts on a
-- row is fenced by its attempted_at, so a row that moved on meanwhile is left alone. Ids past $6 only: rows that cannot
-- be rescued must not hide the others for ever.
--
-- The running jobs come first, by the index on the state: in the order of the ids the planner went through the
-- finished ones too.
WITH executing AS MATERIALIZED (
    SELECT j.id, j.attempted_at, j.attempt, j.attempted_by, j.errors, j.worker, j.queue, j.meta
    FROM /*oban.*/oban_jobs j
    -- Claimed at a time that Python does not have: written by hand, and it must not hide the others.
    WHERE j.state = 'executing' AND j.attempted_at BETWEEN '0001-01-02' AND '9999-12-30'
),
-- Seconds for which the one who asks has beaten without a gap; none when its own last beat is old.
asking AS MATERIALIZED (
    SELECT extract(epoch FROM now() - e.steady_since)::double precision AS steady
    FROM /*schema.*/baton_engines e
    WHERE e.id = $2::text::uuid AND e.seen_at > now() - make_interval(secs => e.rescue_after / 2)
)
SELECT
    j.id,
    j.attempted_at,
    j.attempt::integer AS attempt,
    j.attempted_by[2] AS engine,
    (
        SELECT count(*)::integer
        FROM jsonb_path_query(to_jsonb(j.errors), '$[*] ? (@.rescued == true)')
    ) AS rescues,
    j.worker,
    j.queue,
    n.workflow_id,
    w.name AS workflow_name,
    n.name AS step,
    greatest(extract(epoch FROM timezone('UTC', now()) - j.attempted_at), 0)::double precision AS duration,
    (
        j.attempted_at > timezone('UTC', now())
        AND (j.attempted_by[3] IS DISTINCT FROM 'baton' OR j.attempted_by[2] = $2)
    ) IS TRUE AS ahead
FROM executing j
LEFT JOIN /*schema.*/workflow_nodes n ON n.job_id = j.id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
LEFT JOIN /*schema.*/workflows w ON w.id = n.workflow_id
WHERE j.id > $6
AND CASE
    WHEN j.attempted_by[3] IS DISTINCT FROM 'baton'
        THEN $5::double precision IS NOT NULL AND (
            j.attempted_at < timezone('UTC', now()) - make_interval(secs => $5)
            OR j.attempted_at > timezone('UTC', now())
        )
    WHEN j.attempted_by[2] = $2
        THEN j.id <> ALL ($3::bigint[]) AND (
            j.attempted_at < timezone('UTC', now()) - make_interval(secs => $4)
            OR j.attempted_at > timezone('UTC', now())
        )
    WHEN j.attempted_by[2] = ANY ($8::text[])
        THEN true
    ELSE (SELECT a.steady FROM asking a) >= $1 AND NOT EXISTS (
        SELECT FROM /*schema.*/baton_engines e
        WHERE e.id::text = j.attempted_by[2]
        AND (
            e.seen_at > now() - make_interval(secs => greatest($1, e.rescue_after))
            OR e.rescue_after > (SELECT a.steady FROM asking a)
        )
    )
END
ORDER BY j.id
LIMIT $7
