-- Makes the job of a wait inside a step runnable; the caller holds the workflow's lock. Returns the queue that got
-- something to run.
CREATE OR REPLACE FUNCTION /*schema.*/baton_wake(p_job bigint, p_notify boolean)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $wake$
DECLARE
    v_pending integer;
    v_queue text;
BEGIN
    UPDATE /*schema.*/workflow_nodes n
    SET pending = greatest(n.pending - 1, 0), released_at = CASE WHEN n.pending <= 1 THEN clock_timestamp() END
    WHERE n.job_id = p_job AND n.state IS NULL
    RETURNING n.pending INTO v_pending;
    IF v_pending IS DISTINCT FROM 0 THEN
        RETURN NULL;
    END IF;
    UPDATE /*oban.*/oban_jobs j
    SET state = 'available'
    FROM /*schema.*/workflow_nodes n
    WHERE j.id = p_job AND (j.state = 'suspended') IS TRUE AND n.job_id = j.id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
    RETURNING j.queue INTO v_queue;
    IF v_queue IS NOT NULL AND p_notify THEN
        PERFORM /*schema.*/baton_notify_jobs(v_queue);
    END IF;
    RETURN v_queue;
END
$wake$;
