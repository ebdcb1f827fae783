-- Of these groups, those of which nobody else has locked the workflow, nor, where they are pending, the step or its
-- job. Takes these locks, the workflows' first, and waits for none. A job that is not suspended is not locked: it
-- may be available, and whoever claims passes by what is locked.
CREATE OR REPLACE FUNCTION /*schema.*/baton_lock_free(p_groups bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $free$
DECLARE
    v_workflows uuid[];
    v_pending bigint[];
    v_nodes bigint[];
    v_suspended bigint[];
    v_jobs bigint[];
BEGIN
    SELECT array_agg(l.id) INTO v_workflows
    FROM (
        SELECT w.id FROM /*schema.*/workflows w
        WHERE w.id = ANY (ARRAY(
            SELECT g.workflow_id FROM /*schema.*/workflow_wait_groups g WHERE g.id = ANY (p_groups)
        ))
        ORDER BY w.id
        FOR NO KEY UPDATE SKIP LOCKED
    ) l;
    -- What is read from here on holds: it changes under these locks only.
    v_pending := ARRAY(
        SELECT g.job_id FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (p_groups) AND g.workflow_id = ANY (v_workflows) AND (g.status = 'pending') IS TRUE
    );
    v_nodes := ARRAY(
        SELECT n.job_id FROM /*schema.*/workflow_nodes n
        WHERE n.job_id = ANY (v_pending)
        ORDER BY n.job_id
        FOR NO KEY UPDATE SKIP LOCKED
    );
    v_suspended := ARRAY(
        SELECT j.id FROM /*oban.*/oban_jobs j
        WHERE j.id = ANY (v_pending) AND (j.state = 'suspended') IS TRUE
    );
    v_jobs := ARRAY(
        SELECT j.id FROM /*oban.*/oban_jobs j
        WHERE j.id = ANY (v_suspended)
        ORDER BY j.id
        FOR NO KEY UPDATE SKIP LOCKED
    );
    RETURN ARRAY(
        SELECT g.id FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (p_groups) AND g.workflow_id = ANY (v_workflows)
        AND (
            g.job_id <> ALL (v_pending)
            OR g.job_id = ANY (v_nodes) AND (g.job_id <> ALL (v_suspended) OR g.job_id = ANY (v_jobs))
        )
        ORDER BY g.id
    );
END
$free$;
