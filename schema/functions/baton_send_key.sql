-- Records an event for everybody who waits with a key; they are served by baton_spread after the commit, p_delay
-- seconds from now also by whoever looks for unfinished work. Takes no lock that anybody else needs, but for senders
-- with the same p_dedupe: it may run in a transaction that stays open for long. Everything crosses as text.
--
-- Rows returned: (check, json of schemas) when there are any that p_asked does not name (an array of JSON texts);
-- (duplicate); or (open, id of the event).
CREATE OR REPLACE FUNCTION /*schema.*/baton_send_key(
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
        WHERE e.correlation_key = p_key AND e.name = p_name AND e.dedupe_id = p_dedupe AND e.correlation_key IS NOT NULL;
        IF FOUND THEN
            RETURN QUERY SELECT 'duplicate', NULL;
            RETURN;
        END IF;
    END IF;

    SELECT json_agg(s.payload_schema)::text INTO v_schemas
    FROM (
        SELECT DISTINCT g.payload_schema
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (ARRAY(
            SELECT m.group_id FROM /*schema.*/workflow_wait_members m
            WHERE m.correlation_key = p_key AND m.name = p_name AND m.state = 'waiting'
            AND m.correlation_key IS NOT NULL
        ))
        AND g.payload_schema IS NOT NULL
        AND NOT EXISTS (SELECT FROM jsonb_array_elements(p_asked::jsonb) AS a (asked) WHERE a.asked = g.payload_schema)
    ) s;
    IF v_schemas IS NOT NULL THEN
        RETURN QUERY SELECT 'check', v_schemas;
        RETURN;
    END IF;

    INSERT INTO /*schema.*/workflow_events AS e (correlation_key, name, payload, dedupe_id, state, wake_at, trace)
    VALUES (
        p_key, p_name, p_payload::jsonb, p_dedupe, 'open',
        clock_timestamp() + make_interval(secs => p_delay::double precision), p_trace
    )
    -- Only the same event sent twice is passed by: an id that is taken (the sequence is behind) is an error.
    ON CONFLICT (correlation_key, name, dedupe_id) WHERE dedupe_id IS NOT NULL AND correlation_key IS NOT NULL DO NOTHING
    RETURNING e.id INTO v_event;
    IF v_event IS NULL THEN
        -- Somebody sent the same at the same time, and has committed since.
        UPDATE /*schema.*/workflow_events e
        SET duplicates = e.duplicates + 1
        WHERE e.correlation_key = p_key AND e.name = p_name AND e.dedupe_id = p_dedupe AND e.correlation_key IS NOT NULL;
        RETURN QUERY SELECT 'duplicate', NULL;
        RETURN;
    END IF;
    IF p_notify THEN
        PERFORM pg_notify(
            /*schema_literal*/'baton' || '.baton_waits',
            (extract(epoch FROM clock_timestamp()) + p_delay::numeric)::text
        );
    END IF;
    RETURN QUERY SELECT 'open', v_event::text;
END
$send$;
