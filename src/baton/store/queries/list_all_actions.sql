-- What was done to any workflow, newest first, before a given action. A query of its own: with an optional workflow
-- the generic plan would know no index.
SELECT
    a.id, a.workflow_id, a.action, a.step, a.actor, a.reason, a.run, a.done_at, a.bulk_id,
    a.details::text AS details, a.result::text AS result
FROM /*schema.*/baton_actions a
WHERE a.id < coalesce($1::bigint, 9223372036854775807)
ORDER BY a.id DESC
LIMIT $2::integer
