-- Brings back the rows of those jobs $2 of workflow $1 that somebody has deleted, as they were; a reset follows.
INSERT INTO /*oban.*/oban_jobs (
    id, state, queue, worker, args, meta, tags, priority, attempt, max_attempts, inserted_at, scheduled_at
)
OVERRIDING SYSTEM VALUE
SELECT
    k.job_id, 'suspended', k.queue, k.worker, k.args, k.meta, k.tags, k.priority, k.attempt, k.max_attempts,
    k.inserted_at, k.inserted_at
FROM unnest($2::bigint[]) AS o (job_id)
JOIN /*schema.*/workflow_deleted_jobs k ON k.job_id = o.job_id AND k.workflow_id = $1
ORDER BY k.job_id
