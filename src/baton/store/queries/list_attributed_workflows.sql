-- Lists workflows with the attributes $1, newest first, past the place ($6, $7), where at most $3 have them: found says how
-- many, and one more means that there may be any number, and that the rows are not all. Of those: with the tags $2,
-- of the name $4, of the state $5, inserted at $8 or later (NULL: any). At most $9 rows; without any the one row has no id.
-- The index knows no order, so whoever reads this limits what it finds first.
WITH found AS MATERIALIZED (
    SELECT w.id, w.name, w.steps, w.outstanding, w.failed, w.inserted_at, w.run, w.paused_at, w.pause_reason,
        w.tags, w.attributes
    FROM /*schema.*/workflows w
    WHERE w.attributes @> $1::jsonb
    LIMIT $3::integer + 1
)
SELECT k.found, l.*
FROM (SELECT count(*)::integer AS found FROM found) k
LEFT JOIN LATERAL (
    SELECT
        f.id,
        f.name,
        f.steps,
        f.outstanding,
        coalesce(c.failed_count, f.failed) AS failed,
        f.inserted_at,
        c.finished_at,
        coalesce(c.outcome, 'running') AS state,
        extract(epoch FROM coalesce(c.finished_at, clock_timestamp()) - f.inserted_at)::double precision AS duration,
        CASE WHEN c.outcome IS NULL THEN f.paused_at END AS paused_at,
        CASE WHEN c.outcome IS NULL THEN f.pause_reason END AS pause_reason,
        f.tags,
        f.attributes::text AS attributes
    FROM found f
    LEFT JOIN LATERAL (
        SELECT c.outcome, c.failed_count, c.finished_at
        FROM /*schema.*/workflow_completions c
        WHERE c.workflow_id = f.id AND c.run = f.run
    ) c ON true
    WHERE ($2::text[] IS NULL OR f.tags @> $2)
    AND ($4::text IS NULL OR f.name = $4)
    AND ($5::text IS NULL OR coalesce(c.outcome, 'running') = $5)
    AND (f.inserted_at, f.id) < (
        coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ) AND f.inserted_at >= coalesce($8::timestamptz, '-infinity')
    ORDER BY f.inserted_at DESC, f.id DESC
    LIMIT $9::integer
) l ON true
