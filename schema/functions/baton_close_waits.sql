-- Ends what is left of a step's waits when the step itself has settled; the caller holds the workflow's lock.
CREATE OR REPLACE FUNCTION /*schema.*/baton_close_waits(p_jobs bigint[], p_reason text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $close$
BEGIN
    WITH closed AS (
        UPDATE /*schema.*/workflow_wait_groups g
        SET status = 'cancelled', settled_at = clock_timestamp(), wake_at = NULL, reason = p_reason
        WHERE g.job_id = ANY (p_jobs) AND g.status IN ('dormant', 'pending')
        RETURNING g.id
    )
    UPDATE /*schema.*/workflow_wait_members m
    SET state = 'missed'
    FROM closed c
    WHERE m.group_id = c.id AND m.state = 'waiting';
END
$close$;
