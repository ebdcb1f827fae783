-- Ends what is left of the waits of steps, but for the ones with the replay key p_but (NULL: all); returns how many
-- that were. The caller holds the workflows' locks, and counts `pending` down where the steps go on.
CREATE OR REPLACE FUNCTION /*schema.*/baton_close_waits(p_jobs bigint[], p_reason text, p_but text)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $close$
DECLARE
    v_closed integer;
BEGIN
    WITH closed AS (
        UPDATE /*schema.*/workflow_wait_groups g
        SET status = 'cancelled', settled_at = clock_timestamp(), wake_at = NULL, reason = p_reason
        WHERE g.job_id = ANY (p_jobs) AND g.status IN ('dormant', 'pending')
        AND (p_but IS NULL OR g.replay_key <> p_but)
        RETURNING g.id
    ),
    missed AS (
        UPDATE /*schema.*/workflow_wait_members m
        SET state = 'missed'
        FROM closed c
        WHERE m.group_id = c.id AND m.state = 'waiting'
    )
    SELECT count(*) INTO v_closed FROM closed;
    RETURN v_closed;
END
$close$;
