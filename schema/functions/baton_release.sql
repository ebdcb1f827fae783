-- Makes jobs runnable that sleep and whose steps wait for nothing any more, at once or at their own scheduled time.
-- Returns the queues that got available ones, or NULL. The caller holds the locks of their workflows.
CREATE OR REPLACE FUNCTION /*schema.*/baton_release(p_jobs bigint[], p_notify boolean)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $release$
DECLARE
    v_queues text[];
BEGIN
    PERFORM FROM /*oban.*/oban_jobs j WHERE j.id = ANY (p_jobs) ORDER BY j.id FOR NO KEY UPDATE;
    WITH released AS (
        UPDATE /*oban.*/oban_jobs j
        SET state = (
            -- One without a time of its own is due, whatever the clock said when it was inserted.
            CASE
                WHEN j.scheduled_at <= greatest(timezone('UTC', clock_timestamp()), j.inserted_at) THEN 'available'
                ELSE 'scheduled'
            END
        )::/*oban.*/oban_job_state
        FROM /*schema.*/workflow_nodes n
        WHERE j.id = ANY (p_jobs) AND (j.state = 'suspended') IS TRUE AND n.job_id = j.id AND n.state IS NULL
        AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
        RETURNING j.queue, j.state
    )
    SELECT array_agg(DISTINCT r.queue) INTO v_queues FROM released r WHERE r.state = 'available';
    IF p_notify THEN
        PERFORM /*schema.*/baton_notify_jobs(q) FROM unnest(v_queues) q;
    END IF;
    RETURN v_queues;
END
$release$;
