-- Takes state and result from the steps $1. What they wait for is counted by the next statement, which sees all of them.
UPDATE /*schema.*/workflow_nodes n
SET state = NULL,
    result = NULL,
    trace = NULL,
    undecided = n.condition IS NOT NULL,
    any_of_state = NULL,
    -- What is kept of waits inside a step counts too: it is pruned with them.
    waits = EXISTS (SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = n.job_id)
FROM unnest($1::bigint[]) AS o (job_id)
WHERE n.job_id = o.job_id
