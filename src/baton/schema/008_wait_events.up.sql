-- Records an event for a workflow and gives it to the oldest group that waits for it. Takes the workflow's lock;
-- everything crosses as text. Candidates with a schema must have been asked first: p_accepting and p_refusing are
-- ids of groups, joined by commas.
--
-- Rows returned: (unknown), (finished), (check, json of candidates), (duplicate), or one of (settled), (delivered),
-- (buffered); then, for what followed, (announced, completion), (woken, queue), (wait, facts).
CREATE FUNCTION /*schema.*/baton_send(
    p_workflow text, p_name text, p_payload text, p_dedupe text, p_accepting text, p_refusing text,
    p_notify boolean, p_trace text
)
RETURNS TABLE (result text, data text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $send$
#variable_conflict use_column
DECLARE
    v_workflow uuid := p_workflow::uuid;
    v_refusing bigint[] := string_to_array(p_refusing, ',')::bigint[];
    v_asked bigint[] := v_refusing || string_to_array(p_accepting, ',')::bigint[];
    v_outstanding integer;
    v_groups bigint[];
    v_candidates text;
    v_event bigint;
    v_group bigint;
BEGIN
    PERFORM /*schema.*/baton_require_read_committed();

    SELECT w.outstanding INTO v_outstanding
    FROM /*schema.*/workflows w WHERE w.id = v_workflow FOR NO KEY UPDATE;
    -- Asked before the end is looked at: the event may be what ended the workflow, and its sender not know.
    IF p_dedupe IS NOT NULL AND v_outstanding IS NOT NULL THEN
        UPDATE /*schema.*/workflow_events e
        SET duplicates = e.duplicates + 1
        WHERE e.workflow_id = v_workflow AND e.name = p_name AND e.dedupe_id = p_dedupe;
        IF FOUND THEN
            RETURN QUERY SELECT 'duplicate', NULL;
            RETURN;
        END IF;
    END IF;

    IF v_outstanding IS NULL OR v_outstanding = 0 THEN
        RETURN QUERY SELECT CASE WHEN v_outstanding = 0 OR EXISTS (
            SELECT FROM /*schema.*/workflow_completions c WHERE c.workflow_id = v_workflow
        ) THEN 'finished' ELSE 'unknown' END, NULL;
        RETURN;
    END IF;

    -- In two steps: joined, a plan that was made while the tables were empty went through all groups.
    v_groups := ARRAY(
        SELECT m.group_id FROM /*schema.*/workflow_wait_members m
        WHERE m.workflow_id = v_workflow AND m.name = p_name AND m.state = 'waiting'
    );
    IF cardinality(v_groups) > 0 THEN
        SELECT
            CASE WHEN bool_or(g.answers IS NOT NULL AND g.id <> ALL (v_asked)) THEN json_agg(
                json_build_object('group', g.id, 'schema', g.answers, 'pending', g.status = 'pending')
            )::text END,
            min(g.id) FILTER (
                WHERE (g.status = 'pending') IS TRUE AND g.id <> ALL (v_refusing)
                AND (SELECT n.state IS NULL FROM /*schema.*/workflow_nodes n WHERE n.job_id = g.job_id)
            )
        INTO v_candidates, v_group
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (v_groups) AND (g.deadline IS NULL OR g.deadline > clock_timestamp());
    END IF;
    IF v_candidates IS NOT NULL THEN
        RETURN QUERY SELECT 'check', v_candidates;
        RETURN;
    END IF;

    INSERT INTO /*schema.*/workflow_events AS e (
        workflow_id, name, payload, dedupe_id, state, group_id, receivers, trace
    )
    VALUES (
        v_workflow, p_name, p_payload::jsonb, p_dedupe,
        CASE WHEN v_group IS NULL THEN 'kept' ELSE 'taken' END, v_group, (v_group IS NOT NULL)::integer,
        p_trace
    )
    RETURNING e.id INTO v_event;
    IF v_group IS NULL THEN
        RETURN QUERY SELECT 'buffered', NULL;
        RETURN;
    END IF;

    UPDATE /*schema.*/workflow_wait_members m
    SET state = 'received', event_id = v_event
    WHERE m.group_id = v_group AND m.name = p_name;

    RETURN QUERY
    SELECT CASE d.kind WHEN 2 THEN 'announced' WHEN 3 THEN 'woken' ELSE 'wait' END, d.data
    FROM /*schema.*/baton_decide(ARRAY[v_group], '{}', false, p_notify) d
    WHERE d.kind IN (2, 3, 4);
    RETURN QUERY
    SELECT CASE WHEN g.status = 'completed' THEN 'settled' ELSE 'delivered' END, NULL
    FROM /*schema.*/workflow_wait_groups g WHERE g.id = v_group;
END
$send$;

-- Records an event for everybody who waits with a key; they are served by baton_spread after the commit, p_delay
-- seconds from now also by whoever looks for unfinished work. Takes no lock that anybody else needs, but for senders
-- with the same p_dedupe: it may run in a transaction that stays open for long. Everything crosses as text.
--
-- Rows returned: (check, json of schemas) when there are any that p_asked does not name (an array of JSON texts);
-- (duplicate); or (open, id of the event).
CREATE FUNCTION /*schema.*/baton_send_key(
    p_key text, p_name text, p_payload text, p_dedupe text, p_asked text, p_delay text, p_notify boolean,
    p_trace text
)
RETURNS TABLE (result text, data text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $send$
#variable_conflict use_column
DECLARE
    v_schemas text;
    v_event bigint;
BEGIN
    PERFORM /*schema.*/baton_require_read_committed();

    IF p_dedupe IS NOT NULL THEN
        UPDATE /*schema.*/workflow_events e
        SET duplicates = e.duplicates + 1
        WHERE e.correlation = p_key AND e.name = p_name AND e.dedupe_id = p_dedupe AND e.correlation IS NOT NULL;
        IF FOUND THEN
            RETURN QUERY SELECT 'duplicate', NULL;
            RETURN;
        END IF;
    END IF;

    SELECT json_agg(s.answers)::text INTO v_schemas
    FROM (
        SELECT DISTINCT g.answers
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (ARRAY(
            SELECT m.group_id FROM /*schema.*/workflow_wait_members m
            WHERE m.correlation = p_key AND m.name = p_name AND m.state = 'waiting'
            AND m.correlation IS NOT NULL
        ))
        AND g.answers IS NOT NULL
        AND NOT EXISTS (SELECT FROM jsonb_array_elements(p_asked::jsonb) AS a (asked) WHERE a.asked = g.answers)
    ) s;
    IF v_schemas IS NOT NULL THEN
        RETURN QUERY SELECT 'check', v_schemas;
        RETURN;
    END IF;

    INSERT INTO /*schema.*/workflow_events AS e (correlation, name, payload, dedupe_id, state, wake_at, trace)
    VALUES (
        p_key, p_name, p_payload::jsonb, p_dedupe, 'open',
        clock_timestamp() + make_interval(secs => p_delay::double precision), p_trace
    )
    -- Only the same event sent twice is passed by: an id that is taken (the sequence is behind) is an error.
    ON CONFLICT (correlation, name, dedupe_id) WHERE dedupe_id IS NOT NULL AND correlation IS NOT NULL DO NOTHING
    RETURNING e.id INTO v_event;
    IF v_event IS NULL THEN
        -- Somebody sent the same at the same time, and has committed since.
        UPDATE /*schema.*/workflow_events e
        SET duplicates = e.duplicates + 1
        WHERE e.correlation = p_key AND e.name = p_name AND e.dedupe_id = p_dedupe AND e.correlation IS NOT NULL;
        RETURN QUERY SELECT 'duplicate', NULL;
        RETURN;
    END IF;
    IF p_notify THEN
        PERFORM pg_notify(
            /*schema_literal*/'public' || '.baton_waits',
            (extract(epoch FROM clock_timestamp()) + p_delay::numeric)::text
        );
    END IF;
    RETURN QUERY SELECT 'open', v_event::text;
END
$send$;

-- Gives an open event to the next groups that wait with its key, in the order of their workflows. p_fitting and
-- p_unfit hold the schemas that the payload satisfies and those that it does not; groups with one of the latter are
-- passed by. What somebody else has locked is passed over, and the event stays open for it: it is due again after a
-- while, which grows. p_left says that the caller has passed somebody over before, and after how many seconds at
-- most the event is due again because of that; NULL: nobody.
--
-- The event's own row is locked first, so that one event is handed out by one at a time. Nothing is waited for, but
-- rows further down the graphs, and those for a moment.
--
-- Rows returned, by kind: those of baton_decide; 7 what came of it (id and workflow_id = the last group looked at,
-- data = {"received": how many received it, "passed": whether somebody was passed over, "more": whether there may be others behind}); 9 schemas that are in
-- neither list (data = a JSON array of them), for which nothing was done; 10 the event is locked by somebody else.
-- No row of these kinds: the event is not open any more.
CREATE FUNCTION /*schema.*/baton_spread(
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
    SELECT e.correlation, e.name, e.sent_at, e.receivers, e.newest_group INTO v_event
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
        WHERE m.correlation = v_event.correlation AND m.name = v_event.name
        AND m.state = 'waiting' AND m.correlation IS NOT NULL
        AND (m.workflow_id, m.group_id) > (p_workflow, p_group)
        AND (v_event.receivers = 0 OR m.group_id <= v_newest)
        ORDER BY m.correlation, m.name, m.workflow_id, m.group_id
        LIMIT p_limit
    ) b;

    SELECT json_agg(s.answers)::text INTO v_unknown
    FROM (
        SELECT DISTINCT g.answers
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (v_groups) AND g.answers IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(p_fitting::jsonb || p_unfit::jsonb) AS a (asked)
            WHERE a.asked = g.answers
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
        AND (g.answers IS NULL OR EXISTS (
            SELECT FROM jsonb_array_elements(p_fitting::jsonb) AS a (asked) WHERE a.asked = g.answers
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
    FROM /*schema.*/baton_decide(v_pending, '{}', false, p_notify) d
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
                /*schema_literal*/'public' || '.baton_waits', extract(epoch FROM v_wake)::text
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
