-- How a locked workflow stands for a bulk operation: whether it has acted on it, and the state that lists show.
SELECT
    EXISTS (
        SELECT FROM /*schema.*/baton_actions a WHERE a.bulk_id = $2 AND a.workflow_id = w.id
    ) AS acted,
    coalesce((
        SELECT c.outcome FROM /*schema.*/workflow_completions c WHERE c.workflow_id = w.id AND c.run = w.run
    ), 'running') AS state
FROM /*schema.*/workflows w
WHERE w.id = $1
