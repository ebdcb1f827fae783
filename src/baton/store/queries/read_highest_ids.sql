-- The highest ids in use, by the table whose sequence gives them.
SELECT 'oban_jobs' AS name, greatest(
    (SELECT max(j.id) FROM /*oban.*/oban_jobs j),
    (SELECT max(n.job_id) FROM /*schema.*/workflow_nodes n)
) AS highest
UNION ALL
SELECT 'workflow_wait_groups', (SELECT max(g.id) FROM /*schema.*/workflow_wait_groups g)
UNION ALL
SELECT 'workflow_events', (SELECT max(e.id) FROM /*schema.*/workflow_events e)
