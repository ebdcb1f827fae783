-- Whether the step of a node was begun since its last reset: claimed by somebody, or its wait armed.
CREATE OR REPLACE FUNCTION /*schema.*/baton_begun(p_job bigint, p_workflow uuid)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $begun$
DECLARE
    v_last record;
BEGIN
    SELECT h.attempted_at INTO v_last
    FROM /*schema.*/workflow_step_history h
    WHERE h.workflow_id = p_workflow AND h.job_id = p_job
    ORDER BY h.id DESC
    LIMIT 1;
    RETURN EXISTS (
        SELECT FROM /*oban.*/oban_jobs j
        WHERE j.id = p_job AND (j.meta ->> 'workflow_id' = p_workflow::text) IS TRUE AND j.attempted_at IS NOT NULL
        -- An attempt from before its last reset does not count.
        AND timezone('UTC', j.attempted_at) IS DISTINCT FROM v_last.attempted_at
    ) OR EXISTS (
        -- Of a deleted job the number of attempts is known, and not when they began.
        SELECT FROM /*schema.*/workflow_deleted_jobs k
        WHERE k.job_id = p_job AND k.workflow_id = p_workflow AND k.attempt > coalesce((
            SELECT h.attempt
            FROM /*schema.*/workflow_step_history h
            WHERE h.workflow_id = p_workflow AND h.job_id = p_job AND h.attempt IS NOT NULL
            ORDER BY h.id DESC
            LIMIT 1
        ), 0)
    ) OR EXISTS (
        SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = p_job AND g.armed_at IS NOT NULL
    );
END
$begun$;
