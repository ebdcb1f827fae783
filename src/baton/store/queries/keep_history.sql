-- Keeps how far the steps $2 of workflow $1 have come in its run $3; returns how many have settled, failed and been skipped.
--
-- No plan of a reset may depend on statistics, which know nothing of $2: rows are found one by one, by their keys.
WITH kept AS (
    INSERT INTO /*schema.*/workflow_step_history (
        workflow_id, job_id, name, run, state, result, error, attempt, max_attempts, attempted_at, ended_at
    )
    SELECT
        $1, n.job_id, n.name, $3::integer, n.state::text, n.result, to_jsonb(j.errors) -> -1 ->> 'error',
        j.attempt, j.max_attempts, timezone('UTC', j.attempted_at),
        timezone('UTC', coalesce(j.completed_at, j.cancelled_at, j.discarded_at))
    FROM unnest($2::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = o.job_id
    LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id AND (j.meta ->> 'workflow_id' = $1::uuid::text) IS TRUE
    WHERE n.state IS NOT NULL OR j.attempt > 0
    RETURNING state
)
SELECT
    count(*) FILTER (WHERE k.state IS NOT NULL)::integer AS settled,
    count(*) FILTER (WHERE k.state IN ('cancelled', 'discarded'))::integer AS failed,
    count(*) FILTER (WHERE k.state = 'skipped')::integer AS skipped
FROM kept k
