-- The completions that were recorded by the very transactions that completed these claims: both rows have the same
-- writer. What another transaction recorded was told by whoever did.
SELECT DISTINCT ON (c.workflow_id) c.workflow_id, row_to_json(c)::text AS completion
FROM unnest($1::bigint[], $2::timestamp[]) AS o (id, claim)
JOIN /*oban.*/oban_jobs j ON j.id = o.id AND (j.state = 'completed') IS TRUE AND j.attempted_at = o.claim
JOIN /*schema.*/workflow_nodes n ON n.job_id = j.id
JOIN /*schema.*/workflow_completions c ON c.workflow_id = n.workflow_id AND c.xmin = n.xmin
ORDER BY c.workflow_id
