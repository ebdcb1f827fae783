-- Lists workflows whose latest run ended as $7, 'failed' or 'cancelled', newest first, past the place ($1, $2), of the
-- name $3, inserted at $6 or later, with the tags $8 and the attributes $9 (NULL: any). Looks at no more than $4 of them; the last one looked at is
-- returned too, whether it fits or not: the next look goes on there.
SELECT
    l.workflow_id AS id,
    l.workflow_name AS name,
    l.total_count AS steps,
    0 AS outstanding,
    l.failed_count AS failed,
    l.inserted_at,
    l.finished_at,
    l.outcome AS state,
    extract(epoch FROM l.finished_at - l.inserted_at)::double precision AS duration,
    NULL::timestamptz AS paused_at,
    NULL::text AS pause_reason,
    w.tags,
    w.attributes::text AS attributes,
    l.position,
    f.fits
FROM (
    SELECT
        c.workflow_id, c.workflow_name, c.total_count, c.failed_count, c.inserted_at, c.finished_at,
        c.outcome, c.run,
        row_number() OVER (ORDER BY c.inserted_at DESC, c.workflow_id DESC)::integer AS position
    FROM /*schema.*/workflow_completions c
    -- The second condition says nothing new, but names the partial index.
    WHERE c.outcome = $7::text AND c.outcome <> 'completed' AND (c.inserted_at, c.workflow_id) < (
        coalesce($1::timestamptz, 'infinity'), coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ) AND c.inserted_at >= coalesce($6::timestamptz, '-infinity')
    ORDER BY c.inserted_at DESC, c.workflow_id DESC
    LIMIT $4::integer
) l
LEFT JOIN LATERAL (
    SELECT w.id, w.tags, w.attributes FROM /*schema.*/workflows w WHERE w.id = l.workflow_id AND w.run = l.run
) w ON true
CROSS JOIN LATERAL (
    SELECT (
        w.id IS NOT NULL
        AND ($3::text IS NULL OR l.workflow_name = $3)
        AND ($8::text[] IS NULL OR w.tags @> $8)
        AND ($9::jsonb IS NULL OR w.attributes @> $9)
    ) IS TRUE AS fits
) f
WHERE f.fits OR l.position = $4
ORDER BY l.inserted_at DESC, l.workflow_id DESC
LIMIT $5::integer
