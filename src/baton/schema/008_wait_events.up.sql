-- Records an event for a workflow and gives it to the oldest group that waits for it. Takes the workflow's lock;
-- everything crosses as text. Candidates with a schema must have been asked first: p_accepting and p_refusing are
-- ids of groups, joined by commas.
--
-- Rows returned: (unknown), (finished), (check, json of candidates), (duplicate), or one of (settled), (delivered),
-- (buffered); then, for what followed, (announced, completion), (woken, queue), (wait, facts).
CREATE FUNCTION /*schema.*/baton_send(
    p_workflow text, p_name text, p_payload text, p_dedupe text, p_accepting text, p_refusing text,
    p_notify boolean
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
        workflow_id, name, payload, dedupe_id, state, group_id, receivers
    )
    VALUES (
        v_workflow, p_name, p_payload::jsonb, p_dedupe,
        CASE WHEN v_group IS NULL THEN 'kept' ELSE 'taken' END, v_group, (v_group IS NOT NULL)::integer
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

-- Records an event for everybody who waits with a key; they are served by baton_spread, from p_wake on also by
-- whoever looks for unfinished work. Everything crosses as text.
--
-- Rows returned: (check, json of schemas) when there are any that p_asked does not name (an array of JSON texts);
-- (duplicate); or (open, id of the event).
CREATE FUNCTION /*schema.*/baton_send_key(
    p_key text, p_name text, p_payload text, p_dedupe text, p_asked text, p_delay text, p_notify boolean
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
    PERFORM pg_advisory_xact_lock(hashtextextended(/*schema_literal*/'public' || '.' || p_key, 0));

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

    INSERT INTO /*schema.*/workflow_events AS e (correlation, name, payload, dedupe_id, state, wake_at)
    VALUES (
        p_key, p_name, p_payload::jsonb, p_dedupe, 'open',
        clock_timestamp() + make_interval(secs => p_delay::double precision)
    )
    RETURNING e.id INTO v_event;
    IF p_notify THEN
        PERFORM pg_notify(
            /*schema_literal*/'public' || '.baton_waits',
            (extract(epoch FROM clock_timestamp()) + p_delay::numeric)::text
        );
    END IF;
    RETURN QUERY SELECT 'open', v_event::text;
END
$send$;

-- Gives an open event to the next groups that wait with its key, in the order of their workflows, whose locks it
-- takes. p_asked holds the schemas that the payload satisfies; groups with another one are passed by.
--
-- Rows returned, by kind: those of baton_decide; 7 what came of it (id and workflow_id = the last group looked at,
-- data = how many received it). No row of kind 7: there are no more, and the event is closed.
CREATE FUNCTION /*schema.*/baton_spread(
    p_event bigint, p_workflow uuid, p_group bigint, p_asked text, p_limit integer, p_notify boolean
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
    v_groups bigint[];
    v_workflows uuid[];
    v_open bigint[];
    v_received bigint[];
    v_pending bigint[];
BEGIN
    SELECT e.correlation, e.name, e.sent_at INTO v_event
    FROM /*schema.*/workflow_events e WHERE e.id = p_event AND e.state = 'open';
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT array_agg(b.group_id), array_agg(b.workflow_id)
    INTO v_groups, v_workflows
    FROM (
        SELECT m.group_id, m.workflow_id
        FROM /*schema.*/workflow_wait_members m
        WHERE m.correlation = v_event.correlation AND m.name = v_event.name
        AND m.state = 'waiting' AND m.correlation IS NOT NULL
        AND (m.workflow_id, m.group_id) > (p_workflow, p_group)
        ORDER BY m.correlation, m.name, m.workflow_id, m.group_id
        LIMIT p_limit
    ) b;
    IF v_groups IS NULL THEN
        UPDATE /*schema.*/workflow_events e
        SET state = CASE WHEN e.receivers > 0 THEN 'given' ELSE 'kept' END, wake_at = NULL
        WHERE e.id = p_event AND e.state = 'open';
        RETURN;
    END IF;

    PERFORM FROM /*schema.*/workflows w WHERE w.id = ANY (v_workflows) ORDER BY w.id FOR NO KEY UPDATE;

    -- In steps: joined, a plan that was made while the tables were empty went through all nodes.
    v_open := ARRAY(
        SELECT g.id
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (v_groups) AND g.status IN ('dormant', 'pending')
        AND (g.deadline IS NULL OR v_event.sent_at <= g.deadline)
        AND (SELECT n.state IS NULL FROM /*schema.*/workflow_nodes n WHERE n.job_id = g.job_id)
        -- One that is not armed yet may have enough: what it does not need is for others.
        AND g.need > (
            SELECT count(*) FROM /*schema.*/workflow_wait_members m
            WHERE m.group_id = g.id AND m.state = 'received'
        )
        AND (g.answers IS NULL OR EXISTS (
            SELECT FROM jsonb_array_elements(p_asked::jsonb) AS a (asked) WHERE a.asked = g.answers
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
    IF v_received IS NOT NULL THEN
        UPDATE /*schema.*/workflow_events e
        SET receivers = e.receivers + cardinality(v_received)
        WHERE e.id = p_event;
    END IF;
    RETURN QUERY SELECT
        7::smallint, v_groups[cardinality(v_groups)], coalesce(cardinality(v_received), 0)::text,
        v_workflows[cardinality(v_workflows)];
END
$spread$;
