-- Reads the jobs claimed under the given marks and not settled since: of a call whose reply was lost.
SELECT
    0::smallint AS kind, j.id, j.attempted_at, j.queue, j.worker, j.args::text AS args, j.meta::text AS meta,
    j.attempt::integer AS attempt, j.max_attempts::integer AS max_attempts,
    CASE WHEN (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
        THEN n.workflow_id END AS workflow_id,
    n.name, n.pending, n.state::text AS settled, cardinality(n.deps) AS dependencies, n.timeout, n.model,
    n.debug, '{}'::text[] AS links,
    greatest(
        date_part('epoch', j.attempted_at)
        - date_part('epoch', greatest(j.scheduled_at, j.inserted_at, timezone('UTC', n.released_at))),
        0
    ) AS queued,
    j.attempted_by[4] AS call
FROM /*oban.*/oban_jobs j
LEFT JOIN /*schema.*/workflow_nodes n ON n.job_id = j.id
WHERE j.state = 'executing' AND j.attempted_by[2] = $1 AND j.attempted_by[4] = ANY ($2::text[])
ORDER BY j.id
