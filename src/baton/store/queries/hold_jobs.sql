-- Puts claimed jobs whose dependencies have not settled back to sleep, fenced on their claims. Runs under the
-- workflow's lock: a dependency that settled since the gate looked would find nothing suspended to release.
WITH locked AS MATERIALIZED (
    SELECT j.id FROM /*oban.*/oban_jobs j WHERE j.id = ANY ($1::bigint[]) ORDER BY j.id FOR NO KEY UPDATE
)
UPDATE /*oban.*/oban_jobs j
SET state = (CASE WHEN n.pending > 0 THEN 'suspended' ELSE 'available' END)::/*oban.*/oban_job_state,
    attempt = greatest(j.attempt - 1, 0)
FROM unnest($1::bigint[], $2::timestamp[]) AS o (id, claim)
JOIN locked l ON l.id = o.id
JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
RETURNING
    j.id, CASE WHEN j.state = 'available' THEN j.queue END AS woken, n.undecided AND n.pending = 1 AS opens
