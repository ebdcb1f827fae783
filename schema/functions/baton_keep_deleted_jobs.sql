-- Keeps what a retry needs of deleted jobs whose workflow is still there, whoever deletes them: Oban's pruner knows
-- nothing of workflows. Called by a trigger once per statement. It runs with the rights of its owner, because the role
-- that prunes jobs may have none on Baton's tables.
CREATE OR REPLACE FUNCTION /*schema.*/baton_keep_deleted_jobs()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $keep$
BEGIN
    INSERT INTO /*schema.*/workflow_deleted_jobs (
        job_id, workflow_id, state, queue, worker, args, meta, tags, priority, attempt, max_attempts, inserted_at
    )
    SELECT
        d.id, n.workflow_id, d.state, d.queue, d.worker, d.args, d.meta, d.tags, d.priority, d.attempt, d.max_attempts,
        d.inserted_at
    FROM deleted d
    JOIN /*schema.*/workflow_nodes n ON n.job_id = d.id
    WHERE (d.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
    ON CONFLICT (job_id) DO UPDATE
    SET workflow_id = excluded.workflow_id, state = excluded.state, queue = excluded.queue, worker = excluded.worker,
        args = excluded.args, meta = excluded.meta, tags = excluded.tags, priority = excluded.priority,
        attempt = excluded.attempt, max_attempts = excluded.max_attempts, inserted_at = excluded.inserted_at,
        deleted_at = clock_timestamp();
    RETURN NULL;
END
$keep$;
