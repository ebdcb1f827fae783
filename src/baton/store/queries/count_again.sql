-- Counts anew what the steps $1 wait for, which have not settled and some of whose dependencies were reset: unsettled
-- dependencies, open waits and, with $2 = 1, the end of the workflow's pause. What they counted before tells too little:
-- while a failure dooms a step that runs, nothing is taken off.
UPDATE /*schema.*/workflow_nodes x
SET pending = w.pending, released_at = NULL
FROM (
    SELECT
        o.job_id,
        $2::integer + (
            SELECT count(*) FROM /*schema.*/workflow_nodes d WHERE d.job_id = ANY (r.deps) AND d.state IS NULL
        )::integer + (
            SELECT count(*)
            FROM /*schema.*/workflow_wait_groups g
            WHERE g.job_id = o.job_id AND (g.wait_step OR g.status = 'pending')
        )::integer AS pending
    FROM unnest($1::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes r ON r.job_id = o.job_id
) w
WHERE x.job_id = w.job_id
