-- Begins the waits of jobs: their time runs from now. Decides those whose events are there already or, where the
-- decider itself asks, names them (kind 5). The caller holds the locks of the workflows.
--
-- p_new: the groups were written in this transaction, or put back to wait again, so no sender by a key sees before it
-- commits that they wait. Those with a key ask for a look after that; see baton_decide_waits.
CREATE OR REPLACE FUNCTION /*schema.*/baton_arm(
    p_jobs bigint[], p_decide boolean, p_notify boolean, p_new boolean
)
RETURNS TABLE (kind smallint, id bigint, data text, workflow_id uuid)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $arm$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_due bigint[];
    v_next timestamptz;
BEGIN
    v_now := clock_timestamp();
    WITH looked AS (
        SELECT
            g.id,
            least(v_now + make_interval(secs => g.timeout), g.until) AS deadline,
            EXISTS (
                SELECT FROM /*schema.*/workflow_events e
                WHERE e.workflow_id = g.workflow_id AND e.name = ANY (g.names) AND e.state = 'kept'
            ) OR EXISTS (
                SELECT FROM /*schema.*/workflow_events e
                WHERE e.correlation_key = g.correlation_key AND e.name = ANY (g.names)
                AND e.correlation_key IS NOT NULL AND e.state IN ('kept', 'open')
            ) OR EXISTS (
                SELECT FROM /*schema.*/workflow_wait_members m
                WHERE m.group_id = g.id AND m.state = 'received'
            ) AS found
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.job_id = ANY (p_jobs) AND g.status = 'dormant'
    ),
    armed AS (
        UPDATE /*schema.*/workflow_wait_groups g
        SET status = 'pending',
            armed_at = v_now,
            deadline = l.deadline,
            wake_at = CASE
                -- A moment later than the commit is likely to be: one look then serves many groups.
                WHEN p_new AND g.correlation_key IS NOT NULL THEN least(v_now + interval '100 ms', l.deadline)
                WHEN l.found THEN v_now
                ELSE l.deadline
            END
        FROM looked l
        WHERE g.id = l.id AND g.status = 'dormant'
        RETURNING g.id, g.wake_at, l.found
    )
    SELECT
        array_agg(a.id ORDER BY a.id) FILTER (WHERE a.found OR a.wake_at <= v_now),
        min(CASE WHEN a.found THEN v_now ELSE a.wake_at END)
    INTO v_due, v_next
    FROM armed a;

    IF p_notify AND v_next IS NOT NULL THEN
        PERFORM pg_notify(
            /*schema_literal*/'baton' || '.baton_waits', extract(epoch FROM v_next)::text
        );
    END IF;
    IF v_due IS NULL THEN
        RETURN;
    ELSIF p_decide THEN
        RETURN QUERY
        SELECT d.kind, d.id, d.data, d.workflow_id
        FROM /*schema.*/baton_decide_waits(v_due, '{}', false, p_notify) d;
    ELSE
        RETURN QUERY SELECT 5::smallint, u.id, NULL, NULL::uuid FROM unnest(v_due) AS u (id);
    END IF;
END
$arm$;
