-- What retries have replaced of the steps of workflow $1, or of the one named $2, newest first, before entry $3.
SELECT
    h.id, h.workflow_id, h.name, h.run, h.state, h.result::text AS result, left(h.error, $5::integer) AS error,
    h.attempt, h.attempted_at, h.ended_at, h.replaced_at
FROM /*schema.*/workflow_step_history h
WHERE h.workflow_id = $1 AND ($2::text IS NULL OR h.name = $2) AND h.id < coalesce($3::bigint, 9223372036854775807)
ORDER BY h.id DESC
LIMIT $4::integer
