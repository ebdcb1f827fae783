-- Lists workflows, newest first, past the place ($1, $2), of the state $3, inserted at $6 or later, with the
-- tags $7 and the attributes $8 (NULL: any). Looks at no more than $4 of them; the last one looked at is returned too, whether it
-- fits or not: the next look goes on there.
SELECT
    l.id,
    l.name,
    l.steps,
    l.outstanding,
    coalesce(c.failed_count, l.failed) AS failed,
    l.inserted_at,
    c.finished_at,
    coalesce(c.outcome, 'running') AS state,
    extract(epoch FROM coalesce(c.finished_at, clock_timestamp()) - l.inserted_at)::double precision AS duration,
    CASE WHEN c.outcome IS NULL THEN l.paused_at END AS paused_at,
    CASE WHEN c.outcome IS NULL THEN l.pause_reason END AS pause_reason,
    l.tags,
    l.attributes::text AS attributes,
    l.position,
    f.fits
FROM (
    SELECT
        w.id, w.name, w.steps, w.outstanding, w.failed, w.inserted_at, w.run, w.paused_at, w.pause_reason,
        w.tags, w.attributes,
        row_number() OVER (ORDER BY w.inserted_at DESC, w.id DESC)::integer AS position
    FROM /*schema.*/workflows w
    WHERE (w.inserted_at, w.id) < (
        coalesce($1::timestamptz, 'infinity'), coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ) AND w.inserted_at >= coalesce($6::timestamptz, '-infinity')
    ORDER BY w.inserted_at DESC, w.id DESC
    LIMIT $4::integer
) l
LEFT JOIN /*schema.*/workflow_completions c ON c.workflow_id = l.id AND c.run = l.run
CROSS JOIN LATERAL (
    SELECT (
        ($3::text IS NULL OR coalesce(c.outcome, 'running') = $3)
        AND ($7::text[] IS NULL OR l.tags @> $7)
        AND ($8::jsonb IS NULL OR l.attributes @> $8)
    ) IS TRUE AS fits
) f
WHERE f.fits OR l.position = $4
ORDER BY l.inserted_at DESC, l.id DESC
LIMIT $5::integer
