-- Locks workflows to be pruned, in id order: those that have ended, were announced, and nobody works on. Whether
-- job rows are left is looked at again: since the last look a workflow may have gone and come back under its id.
SELECT w.id
FROM /*schema.*/workflows w
WHERE w.id = ANY ($1::uuid[])
AND w.outstanding = 0
AND EXISTS (SELECT FROM /*schema.*/workflow_completions c WHERE c.workflow_id = w.id AND c.run = w.run)
AND NOT EXISTS (
    SELECT
    FROM /*schema.*/workflow_nodes n
    JOIN /*oban.*/oban_jobs j ON j.id = n.job_id
        AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
    WHERE n.workflow_id = w.id
)
ORDER BY w.id
FOR UPDATE SKIP LOCKED
