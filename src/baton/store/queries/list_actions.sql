-- What was done to a workflow, newest first, before a given action.
SELECT
    a.id, a.workflow_id, a.action, a.step, a.actor, a.reason, a.run, a.done_at, a.bulk_id,
    a.details::text AS details, a.result::text AS result
FROM /*schema.*/baton_actions a
WHERE a.workflow_id = $1 AND a.id < coalesce($2::bigint, 9223372036854775807)
ORDER BY a.id DESC
LIMIT $3::integer
