-- Operations on many workflows, newest first, past the place ($1, $2).
SELECT
    b.id, b.action, b.state, b.filter::text AS filter, b.options::text AS options, b.actor, b.reason, b.matched, b.done,
    b.passed, b.failed, b.failures::text AS failures, b.started_at, b.finished_at, b.batch, b.cursor, b.position
FROM /*schema.*/baton_bulk b
WHERE (b.started_at, b.id) < (
    coalesce($1::timestamptz, 'infinity'), coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
)
ORDER BY b.started_at DESC, b.id DESC
LIMIT $3::integer
