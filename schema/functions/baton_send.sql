-- Records an event for a workflow and gives it to the oldest group that waits for it. Takes the workflow's lock;
-- everything crosses as text. Candidates with a schema must have been asked first: p_accepting and p_refusing are
-- ids of groups, joined by commas.
--
-- Rows returned: (unknown), (finished), (check, json of candidates), (duplicate), or one of (settled), (delivered),
-- (buffered); then, for what followed, (announced, completion), (woken, queue), (wait, facts), (skipped, facts).
CREATE OR REPLACE FUNCTION /*schema.*/baton_send(
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
            CASE WHEN bool_or(g.payload_schema IS NOT NULL AND g.id <> ALL (v_asked)) THEN json_agg(
                json_build_object('group', g.id, 'schema', g.payload_schema, 'pending', g.status = 'pending')
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
    SELECT CASE d.kind WHEN 2 THEN 'announced' WHEN 3 THEN 'woken' WHEN 4 THEN 'wait' ELSE 'skipped' END, d.data
    FROM /*schema.*/baton_decide_waits(ARRAY[v_group], '{}', false, p_notify) d
    WHERE d.kind IN (2, 3, 4, 11);
    RETURN QUERY
    SELECT CASE WHEN g.status = 'completed' THEN 'settled' ELSE 'delivered' END, NULL
    FROM /*schema.*/workflow_wait_groups g WHERE g.id = v_group;
END
$send$;
