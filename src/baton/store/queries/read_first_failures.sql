-- Reads, for each of the failed workflows $1, the step that failed first among its first hundred failed ones, a
-- discarded one before a cancelled one, with at most $2 characters of its job's last error. A workflow whose steps
-- were pruned has no row.
SELECT c.workflow_id, f.name, f.error
FROM /*schema.*/workflow_completions c
CROSS JOIN LATERAL (
    SELECT n.name, left(to_jsonb(j.errors) -> -1 ->> 'error', $2::integer) AS error
    FROM unnest(c.failed_steps[1:100]) WITH ORDINALITY AS s (name, position)
    JOIN /*schema.*/workflow_nodes n ON n.workflow_id = c.workflow_id AND n.name = s.name
    LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
    ORDER BY n.state = 'discarded' DESC, coalesce(j.discarded_at, j.cancelled_at), s.position
    LIMIT 1
) f
WHERE c.workflow_id = ANY ($1::uuid[])
AND c.run = (SELECT w.run FROM /*schema.*/workflows w WHERE w.id = c.workflow_id)
