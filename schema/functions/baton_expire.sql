-- Decides those of the given groups whose time has come, where nobody else is at work on their workflows, steps or
-- jobs. Where somebody holds what lies further down, the lock time-out comes soon: whoever calls this does so again
-- with fewer groups.
-- Rows returned: those of baton_decide_waits.
CREATE OR REPLACE FUNCTION /*schema.*/baton_expire(p_groups bigint[], p_notify boolean)
RETURNS TABLE (kind smallint, id bigint, data text, workflow_id uuid)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $expire$
#variable_conflict use_column
DECLARE
    v_free bigint[];
    v_due bigint[];
BEGIN
    PERFORM /*schema.*/baton_require_read_committed();
    PERFORM set_config('lock_timeout', '100ms', true);
    v_free := /*schema.*/baton_lock_free(p_groups);
    SELECT coalesce(array_agg(g.id), '{}') INTO v_due
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = ANY (v_free) AND g.status = 'pending' AND g.wake_at <= clock_timestamp();

    -- A step may have ended without its wait: somebody moved its job by hand.
    PERFORM /*schema.*/baton_close_waits(s.jobs, 'the step ended without it', NULL)
    FROM (
        SELECT array_agg(n.job_id) AS jobs
        FROM /*schema.*/workflow_nodes n
        WHERE n.state IS NOT NULL AND n.job_id = ANY (ARRAY(
            SELECT g.job_id FROM /*schema.*/workflow_wait_groups g WHERE g.id = ANY (v_due)
        ))
    ) s
    WHERE s.jobs IS NOT NULL;

    RETURN QUERY
    SELECT d.kind, d.id, d.data, d.workflow_id FROM /*schema.*/baton_decide_waits(v_due, '{}', false, p_notify) d;
END
$expire$;
