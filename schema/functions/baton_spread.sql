-- Gives an open event to the next groups that wait with its key, in the order of their workflows. p_fitting and
-- p_unfit hold the schemas that the payload satisfies and those that it does not; groups with one of the latter are
-- passed by. What somebody else has locked is passed over, and the event stays open for it: it is due again after a
-- while, which grows. p_left says that the caller has passed somebody over before, and after how many seconds at
-- most the event is due again because of that; NULL: nobody.
--
-- The event's own row is locked first, so that one event is handed out by one at a time. Nothing is waited for, but
-- rows further down the graphs, and those for a moment.
--
-- Rows returned, by kind: those of baton_decide_waits; 7 what came of it (id and workflow_id = the last group looked at,
-- data = {"received": how many received it, "passed": whether somebody was passed over, "more": whether there may be others behind}); 9 schemas that are in
-- neither list (data = a JSON array of them), for which nothing was done; 10 the event is locked by somebody else.
-- No row of these kinds: the event is not open any more.
CREATE OR REPLACE FUNCTION /*schema.*/baton_spread(
    p_event bigint, p_workflow uuid, p_group bigint, p_fitting text, p_unfit text, p_limit integer,
    p_left double precision, p_notify boolean
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
AS $spread$
#variable_conflict use_column
DECLARE
    v_event record;
    v_newest bigint;
    v_groups bigint[];
    v_workflows uuid[];
    v_free bigint[];
    v_open bigint[];
    v_received bigint[];
    v_pending bigint[];
    v_unknown text;
    v_passed boolean;
    v_more boolean;
    v_wake timestamptz;
BEGIN
    PERFORM set_config('lock_timeout', '100ms', true);
    SELECT e.correlation_key, e.name, e.sent_at, e.receivers, e.newest_group INTO v_event
    FROM /*schema.*/workflow_events e WHERE e.id = p_event AND e.state = 'open'
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 10::smallint, e.id, NULL, NULL::uuid
        FROM /*schema.*/workflow_events e WHERE e.id = p_event AND e.state = 'open';
        RETURN;
    END IF;
    v_newest := coalesce(
        v_event.newest_group, (SELECT max(g.id) FROM /*schema.*/workflow_wait_groups g), 0
    );

    SELECT array_agg(b.group_id), array_agg(b.workflow_id)
    INTO v_groups, v_workflows
    FROM (
        SELECT m.group_id, m.workflow_id
        FROM /*schema.*/workflow_wait_members m
        WHERE m.correlation_key = v_event.correlation_key AND m.name = v_event.name
        AND m.state = 'waiting' AND m.correlation_key IS NOT NULL
        AND (m.workflow_id, m.group_id) > (p_workflow, p_group)
        AND (v_event.receivers = 0 OR m.group_id <= v_newest)
        ORDER BY m.correlation_key, m.name, m.workflow_id, m.group_id
        LIMIT p_limit
    ) b;

    SELECT json_agg(s.payload_schema)::text INTO v_unknown
    FROM (
        SELECT DISTINCT g.payload_schema
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (v_groups) AND g.payload_schema IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(p_fitting::jsonb || p_unfit::jsonb) AS a (asked)
            WHERE a.asked = g.payload_schema
        )
    ) s;
    IF v_unknown IS NOT NULL THEN
        RETURN QUERY SELECT 9::smallint, NULL::bigint, v_unknown, NULL::uuid;
        RETURN;
    END IF;

    v_free := /*schema.*/baton_lock_free(v_groups);
    v_passed := EXISTS (
        SELECT FROM /*schema.*/workflow_wait_groups g
        JOIN /*schema.*/workflow_nodes n ON n.job_id = g.job_id
        WHERE g.id = ANY (v_groups) AND g.id <> ALL (v_free)
    );

    -- In steps: joined, a plan that was made while the tables were empty went through all nodes.
    v_open := ARRAY(
        SELECT g.id
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (v_free) AND g.status IN ('dormant', 'pending')
        AND (g.deadline IS NULL OR v_event.sent_at <= g.deadline)
        AND (SELECT n.state IS NULL FROM /*schema.*/workflow_nodes n WHERE n.job_id = g.job_id)
        -- One that is not armed yet may have enough: what it does not need is for others.
        AND g.need > (
            SELECT count(*) FROM /*schema.*/workflow_wait_members m
            WHERE m.group_id = g.id AND m.state = 'received'
        )
        AND (g.payload_schema IS NULL OR EXISTS (
            SELECT FROM jsonb_array_elements(p_fitting::jsonb) AS a (asked) WHERE a.asked = g.payload_schema
        ))
    );
    WITH received AS (
        UPDATE /*schema.*/workflow_wait_members m
        SET state = 'received', event_id = p_event
        WHERE m.group_id = ANY (v_open) AND m.name = v_event.name AND m.state = 'waiting'
        RETURNING m.group_id
    )
    SELECT array_agg(r.group_id) INTO v_received FROM received r;
    v_pending := ARRAY(
        SELECT g.id FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (v_received) AND (g.status = 'pending') IS TRUE
    );

    RETURN QUERY
    SELECT d.kind, d.id, d.data, d.workflow_id
    FROM /*schema.*/baton_decide_waits(v_pending, '{}', false, p_notify) d
    WHERE d.kind <> 6;

    v_more := coalesce(cardinality(v_groups) = p_limit, false);
    IF v_more THEN
        -- Others leave it to this one, unless it dies.
        v_wake := clock_timestamp() + interval '5 s';
    ELSIF v_passed OR p_left IS NOT NULL THEN
        v_wake := clock_timestamp() + least(
            greatest((clock_timestamp() - v_event.sent_at) / 4, interval '100 ms'),
            make_interval(secs => greatest(p_left, 2))
        );
        IF p_notify THEN
            PERFORM pg_notify(
                /*schema_literal*/'baton' || '.baton_waits', extract(epoch FROM v_wake)::text
            );
        END IF;
    END IF;
    UPDATE /*schema.*/workflow_events e
    SET receivers = e.receivers + coalesce(cardinality(v_received), 0),
        newest_group = v_newest,
        wake_at = v_wake,
        state = CASE
            WHEN v_wake IS NOT NULL THEN 'open'
            WHEN e.receivers > 0 OR v_received IS NOT NULL THEN 'given'
            ELSE 'kept'
        END
    WHERE e.id = p_event;

    RETURN QUERY SELECT
        7::smallint, v_groups[cardinality(v_groups)], json_build_object(
            'received', coalesce(cardinality(v_received), 0), 'passed', v_passed, 'more', v_more
        )::text, v_workflows[cardinality(v_workflows)];
END
$spread$;
