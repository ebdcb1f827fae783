-- An operation on many workflows, and how far it has come.
SELECT
    b.id, b.action, b.state, b.filter::text AS filter, b.options::text AS options, b.actor, b.reason, b.matched, b.done,
    b.passed, b.failed, b.failures::text AS failures, b.started_at, b.finished_at, b.batch, b.cursor, b.position
FROM /*schema.*/baton_bulk b
WHERE b.id = $1
