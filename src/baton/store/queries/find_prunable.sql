-- Looks at $2 announced workflows in id order past $1: those among them that no job row belongs to any more, with
-- their numbers of steps; the last one looked at, and how many there were.
SELECT
    coalesce(array_agg(c.workflow_id ORDER BY c.workflow_id) FILTER (WHERE NOT c.kept), '{}') AS prunable,
    coalesce(array_agg(c.total_count ORDER BY c.workflow_id) FILTER (WHERE NOT c.kept), '{}') AS steps,
    (array_agg(c.workflow_id ORDER BY c.workflow_id DESC))[1] AS last,
    count(*)::integer AS looked_at
FROM (
    SELECT
        c.workflow_id,
        c.total_count,
        EXISTS (
            SELECT
            FROM /*schema.*/workflow_nodes n
            JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
                AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
            WHERE n.workflow_id = c.workflow_id
        ) AS kept
    FROM /*schema.*/workflow_completions c
    JOIN /*schema.*/workflows w ON w.id = c.workflow_id AND w.run = c.run
    WHERE c.workflow_id > $1
    ORDER BY c.workflow_id
    LIMIT $2
) c
