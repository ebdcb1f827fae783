-- Waiting for the world: groups of awaited events, what each waits for, and the mailbox of events.
--
-- A group belongs to one step: to a gate, or to a wait inside a step (its key). It leaves 'pending' by one
-- guarded update under its workflow's lock, in baton_decide or where a wait is cancelled. While it is pending its
-- node counts one more in `pending`, so nothing but its settlement releases the job.
CREATE TABLE /*schema.*/workflow_wait_groups (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id uuid NOT NULL,
    job_id      bigint NOT NULL,
    key         text NOT NULL,
    gate        boolean NOT NULL,
    names       text[] NOT NULL,
    need        integer NOT NULL CHECK (need > 0),
    timeout     double precision,
    until       timestamptz,
    on_timeout  text NOT NULL CHECK (on_timeout IN ('result', 'cancel', 'discard')),
    fallback    jsonb,
    correlation text,
    prompt      text,
    answers     jsonb,
    status      text NOT NULL DEFAULT 'dormant'
        CHECK (status IN ('dormant', 'pending', 'completed', 'timeout', 'cancelled')),
    armed_at    timestamptz,
    deadline    timestamptz,
    wake_at     timestamptz,
    settled_at  timestamptz,
    reason      text,
    CONSTRAINT workflow_wait_groups_key UNIQUE (job_id, key)
) WITH (fillfactor = 70);

CREATE INDEX workflow_wait_groups_due_index
    ON /*schema.*/workflow_wait_groups (wake_at, id, workflow_id) WHERE wake_at IS NOT NULL;
CREATE INDEX workflow_wait_groups_open_index
    ON /*schema.*/workflow_wait_groups (id) WHERE status = 'pending';

CREATE TABLE /*schema.*/workflow_wait_members (
    group_id    bigint NOT NULL,
    name        text NOT NULL,
    workflow_id uuid NOT NULL,
    correlation text,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'received', 'missed')),
    event_id    bigint,
    PRIMARY KEY (group_id, name)
) WITH (fillfactor = 70);

CREATE INDEX workflow_wait_members_waiting_index
    ON /*schema.*/workflow_wait_members (workflow_id, name, group_id) WHERE state = 'waiting';
CREATE INDEX workflow_wait_members_key_index
    ON /*schema.*/workflow_wait_members (correlation, name, workflow_id, group_id)
    WHERE state = 'waiting' AND correlation IS NOT NULL;

-- kept: in the mailbox, for a wait to come; taken: by one group. An event sent by a correlation key has no
-- workflow; it is open while it is handed out, then given, or kept when nobody waited.
CREATE TABLE /*schema.*/workflow_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id uuid,
    correlation text,
    name        text NOT NULL,
    payload     jsonb NOT NULL,
    dedupe_id   text,
    duplicates  integer NOT NULL DEFAULT 0,
    state       text NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'taken', 'open', 'given')),
    group_id    bigint,
    receivers   integer NOT NULL DEFAULT 0,
    sent_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    wake_at     timestamptz,
    CONSTRAINT workflow_events_scope CHECK ((workflow_id IS NULL) <> (correlation IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX workflow_events_mailbox_index
    ON /*schema.*/workflow_events (workflow_id, name, id) WHERE state = 'kept';
CREATE INDEX workflow_events_key_index
    ON /*schema.*/workflow_events (correlation, name, id)
    WHERE correlation IS NOT NULL AND state IN ('kept', 'open');
CREATE INDEX workflow_events_open_index
    ON /*schema.*/workflow_events (wake_at, id) WHERE state = 'open';
CREATE INDEX workflow_events_workflow_index
    ON /*schema.*/workflow_events (workflow_id, id);
CREATE UNIQUE INDEX workflow_events_dedupe_index
    ON /*schema.*/workflow_events (workflow_id, name, dedupe_id)
    WHERE dedupe_id IS NOT NULL AND workflow_id IS NOT NULL;
CREATE UNIQUE INDEX workflow_events_key_dedupe_index
    ON /*schema.*/workflow_events (correlation, name, dedupe_id)
    WHERE dedupe_id IS NOT NULL AND correlation IS NOT NULL;

-- What a step noted before a wait, so that its next run does not do it again.
CREATE TABLE /*schema.*/workflow_memos (
    job_id      bigint NOT NULL,
    key         text NOT NULL,
    workflow_id uuid NOT NULL,
    value       jsonb NOT NULL,
    inserted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, key)
);

-- How a group ended, as a gate stores it and a step reads it.
CREATE FUNCTION /*schema.*/baton_wait_outcome(p_group bigint)
RETURNS jsonb
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $outcome$
    SELECT jsonb_build_object(
        'outcome', CASE g.status WHEN 'completed' THEN 'events' ELSE g.status END,
        'winner', (
            SELECT m.name FROM /*schema.*/workflow_wait_members m
            WHERE m.group_id = g.id AND m.state = 'received'
            ORDER BY m.event_id, m.name
            LIMIT 1
        ),
        'order', coalesce((
            SELECT jsonb_agg(m.name ORDER BY m.event_id, m.name)
            FROM /*schema.*/workflow_wait_members m
            WHERE m.group_id = g.id AND m.state = 'received'
        ), '[]'),
        'events', coalesce((
            SELECT jsonb_object_agg(m.name, e.payload)
            FROM /*schema.*/workflow_wait_members m
            JOIN /*schema.*/workflow_events e ON e.id = m.event_id
            WHERE m.group_id = g.id AND m.state = 'received'
        ), '{}'),
        'missing', to_jsonb(ARRAY(
            SELECT n.name
            FROM unnest(g.names) WITH ORDINALITY AS n (name, position)
            JOIN /*schema.*/workflow_wait_members m ON m.group_id = g.id AND m.name = n.name
            WHERE m.state <> 'received'
            ORDER BY n.position
        ))
    )
    || CASE WHEN g.status = 'timeout' AND g.fallback IS NOT NULL
        THEN jsonb_build_object('default', g.fallback -> 'value') ELSE '{}' END
    || CASE WHEN g.status = 'cancelled' THEN jsonb_build_object('reason', g.reason) ELSE '{}' END
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = p_group
$outcome$;

-- Ends what is left of a step's waits when the step itself has settled; the caller holds the workflow's lock.
CREATE FUNCTION /*schema.*/baton_close_waits(p_jobs bigint[], p_reason text)
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

-- Makes the job of a wait inside a step runnable; the caller holds the workflow's lock. Returns the queue that got
-- something to run.
CREATE FUNCTION /*schema.*/baton_wake(p_job bigint, p_notify boolean)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $wake$
DECLARE
    v_pending integer;
    v_queue text;
BEGIN
    UPDATE /*schema.*/workflow_nodes n
    SET pending = greatest(n.pending - 1, 0)
    WHERE n.job_id = p_job AND n.state IS NULL
    RETURNING n.pending INTO v_pending;
    IF v_pending IS DISTINCT FROM 0 THEN
        RETURN NULL;
    END IF;
    UPDATE /*schema.*/oban_jobs j
    SET state = 'available'
    WHERE j.id = p_job AND (j.state = 'suspended') IS TRUE
    RETURNING j.queue INTO v_queue;
    IF v_queue IS NOT NULL AND p_notify THEN
        PERFORM pg_notify(
            /*schema_literal*/'public' || '.oban_insert', json_build_object('queue', v_queue)::text
        );
    END IF;
    RETURN v_queue;
END
$wake$;

-- The one decider. Gives waiting groups what lies in their mailboxes, in the order it was sent, and settles
-- those that have enough or whose time is over. A gate settles as a completed step, by baton_settle, and gates
-- below it follow in the same transaction. The caller holds the locks of the workflows.
--
-- Events for a group with a schema count only when their ids are among the checked ones; p_looked says that the
-- mailbox was read for that.
--
-- Rows returned, by kind: 2 a workflow announced (workflow_id, data = its completion as JSON); 3 a queue with jobs
-- left available (data); 4 a wait that settled (id = its group, data = its facts as JSON); 6 a gate whose time is
-- over and whose step is to be failed (id), which is left to the caller.
CREATE FUNCTION /*schema.*/baton_decide(
    p_groups bigint[], p_checked bigint[], p_looked boolean, p_notify boolean
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
AS $decide$
#variable_conflict use_column
DECLARE
    v_due bigint[] := p_groups;
    v_group record;
    v_event record;
    v_row record;
    v_status text;
    v_left integer;
    v_now timestamptz;
    v_stamp timestamp;
    v_queue text;
    v_gates bigint[];
    v_results text[];
BEGIN
    WHILE cardinality(v_due) > 0 LOOP
        v_gates := '{}';
        v_results := '{}';
        FOR v_group IN
            SELECT g.* FROM /*schema.*/workflow_wait_groups g WHERE g.id = ANY (v_due) ORDER BY g.id
        LOOP
            v_now := clock_timestamp();
            v_left := v_group.need - (
                SELECT count(*) FROM /*schema.*/workflow_wait_members m
                WHERE m.group_id = v_group.id AND m.state = 'received'
            );
            -- Also where nothing can be left, the look alone would cost a fifth of a send.
            IF v_left > 0 THEN
                FOR v_event IN
                    SELECT found.id, found.name
                    FROM (
                        SELECT DISTINCT ON (m.name) m.name, e.id
                        FROM /*schema.*/workflow_wait_members m
                        CROSS JOIN LATERAL (
                            (
                                SELECT e.id FROM /*schema.*/workflow_events e
                                WHERE e.workflow_id = v_group.workflow_id AND e.name = m.name
                                AND e.state = 'kept'
                                AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)
                                AND (v_group.answers IS NULL OR e.id = ANY (p_checked))
                                ORDER BY e.workflow_id, e.name, e.id
                                LIMIT 1
                            )
                            UNION ALL
                            (
                                SELECT e.id FROM /*schema.*/workflow_events e
                                WHERE e.correlation = v_group.correlation AND e.name = m.name
                                AND e.correlation IS NOT NULL AND e.state IN ('kept', 'open')
                                AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)
                                AND (v_group.answers IS NULL OR e.id = ANY (p_checked))
                                ORDER BY e.correlation, e.name, e.id
                                LIMIT 1
                            )
                        ) e
                        WHERE m.group_id = v_group.id AND m.state = 'waiting'
                        ORDER BY m.name, e.id
                    ) found
                    ORDER BY found.id
                    LIMIT v_left
                LOOP
                    -- One sent by a key may have been taken for another workflow meanwhile.
                    UPDATE /*schema.*/workflow_events e
                    SET state = CASE WHEN e.state = 'open' THEN 'open' ELSE 'taken' END,
                        group_id = v_group.id,
                        receivers = e.receivers + 1
                    WHERE e.id = v_event.id AND e.state IN ('kept', 'open');
                    CONTINUE WHEN NOT FOUND;
                    UPDATE /*schema.*/workflow_wait_members m
                    SET state = 'received', event_id = v_event.id
                    WHERE m.group_id = v_group.id AND m.name = v_event.name AND m.state = 'waiting';
                    v_left := v_left - 1;
                END LOOP;
            END IF;

            IF v_left <= 0 THEN
                v_status := 'completed';
            ELSIF v_group.deadline > v_now OR v_group.deadline IS NULL THEN
                UPDATE /*schema.*/workflow_wait_groups g
                SET wake_at = g.deadline
                WHERE g.id = v_group.id AND g.status = 'pending' AND (g.answers IS NULL OR p_looked)
                AND g.wake_at IS DISTINCT FROM g.deadline;
                CONTINUE;
            ELSIF v_group.gate AND v_group.on_timeout <> 'result' THEN
                RETURN QUERY SELECT 6::smallint, v_group.id, NULL, v_group.workflow_id
                WHERE v_group.status = 'pending';
                CONTINUE;
            ELSE
                v_status := 'timeout';
            END IF;

            UPDATE /*schema.*/workflow_wait_groups g
            SET status = v_status, settled_at = v_now, wake_at = NULL
            WHERE g.id = v_group.id AND g.status = 'pending';
            CONTINUE WHEN NOT FOUND;

            UPDATE /*schema.*/workflow_wait_members m
            SET state = 'missed'
            WHERE m.group_id = v_group.id AND m.state = 'waiting';

            IF v_group.gate THEN
                v_gates := v_gates || v_group.job_id;
                v_results := v_results || jsonb_build_object(
                    'value', /*schema.*/baton_wait_outcome(v_group.id)
                )::text;
            ELSE
                v_queue := /*schema.*/baton_wake(v_group.job_id, p_notify);
                RETURN QUERY SELECT 3::smallint, NULL::bigint, v_queue, NULL::uuid
                WHERE v_queue IS NOT NULL;
            END IF;

            RETURN QUERY
            SELECT 4::smallint, v_group.id, json_build_object(
                'workflow_id', v_group.workflow_id, 'workflow_name', w.name, 'step', n.name,
                'job_id', v_group.job_id, 'key', v_group.key, 'gate', v_group.gate,
                'outcome', CASE v_status WHEN 'completed' THEN 'events' ELSE v_status END,
                'seconds', extract(epoch FROM v_now - v_group.armed_at)
            )::text, v_group.workflow_id
            FROM /*schema.*/workflow_nodes n
            JOIN /*schema.*/workflows w ON w.id = n.workflow_id
            WHERE n.job_id = v_group.job_id;
        END LOOP;

        v_due := '{}';
        IF cardinality(v_gates) > 0 THEN
            v_stamp := timezone('UTC', clock_timestamp());
            UPDATE /*schema.*/oban_jobs j
            SET state = 'executing', attempted_at = v_stamp
            WHERE j.id = ANY (v_gates) AND (j.state = 'suspended') IS TRUE;
            FOR v_row IN
                SELECT s.* FROM /*schema.*/baton_settle(
                    v_gates, array_fill(v_stamp, ARRAY[cardinality(v_gates)]), v_results, NULL,
                    '{}', '{}', '{}', NULL, p_notify
                ) s
            LOOP
                CASE v_row.kind
                    WHEN 2 THEN
                        RETURN QUERY SELECT 2::smallint, NULL::bigint, v_row.args, v_row.workflow_id;
                    WHEN 3 THEN
                        RETURN QUERY SELECT 3::smallint, NULL::bigint, v_row.queue, NULL::uuid;
                    WHEN 5 THEN
                        v_due := v_due || v_row.id;
                    ELSE
                        NULL;
                END CASE;
            END LOOP;
        END IF;
    END LOOP;
END
$decide$;

-- Begins the waits of jobs: their time runs from now. Decides those whose events are there already or, where the
-- decider itself asks, names them (kind 5). The caller holds the locks of the workflows.
CREATE FUNCTION /*schema.*/baton_arm(p_jobs bigint[], p_decide boolean, p_notify boolean)
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
    -- Whoever sends by a key takes its lock alone: either the event is seen below, or the group by the sender.
    PERFORM pg_advisory_xact_lock_shared(
        hashtextextended(/*schema_literal*/'public' || '.' || k.correlation, 0)
    )
    FROM (
        SELECT DISTINCT g.correlation
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.job_id = ANY (p_jobs) AND g.status = 'dormant' AND g.correlation IS NOT NULL
        ORDER BY g.correlation
    ) k;

    v_now := clock_timestamp();
    WITH armed AS (
        UPDATE /*schema.*/workflow_wait_groups g
        SET status = 'pending',
            armed_at = v_now,
            deadline = least(v_now + make_interval(secs => g.timeout), g.until),
            wake_at = CASE
                WHEN EXISTS (
                    SELECT FROM /*schema.*/workflow_events e
                    WHERE e.workflow_id = g.workflow_id AND e.name = ANY (g.names) AND e.state = 'kept'
                ) OR EXISTS (
                    SELECT FROM /*schema.*/workflow_events e
                    WHERE e.correlation = g.correlation AND e.name = ANY (g.names)
                    AND e.correlation IS NOT NULL AND e.state IN ('kept', 'open')
                ) OR EXISTS (
                    SELECT FROM /*schema.*/workflow_wait_members m
                    WHERE m.group_id = g.id AND m.state = 'received'
                ) THEN v_now
                ELSE least(v_now + make_interval(secs => g.timeout), g.until)
            END
        WHERE g.job_id = ANY (p_jobs) AND g.status = 'dormant'
        RETURNING g.id, g.wake_at
    )
    SELECT array_agg(a.id ORDER BY a.id) FILTER (WHERE a.wake_at <= v_now), min(a.wake_at)
    INTO v_due, v_next
    FROM armed a;

    IF p_notify AND v_next IS NOT NULL THEN
        PERFORM pg_notify(
            /*schema_literal*/'public' || '.baton_waits', extract(epoch FROM v_next)::text
        );
    END IF;
    IF v_due IS NULL THEN
        RETURN;
    ELSIF p_decide THEN
        RETURN QUERY
        SELECT d.kind, d.id, d.data, d.workflow_id
        FROM /*schema.*/baton_decide(v_due, '{}', false, p_notify) d;
    ELSE
        RETURN QUERY SELECT 5::smallint, u.id, NULL, NULL::uuid FROM unnest(v_due) AS u (id);
    END IF;
END
$arm$;

-- Writes the gates of new workflows, whose nodes are there, and arms those that wait for no other step. Takes an
-- array of JSON objects as text.
CREATE FUNCTION /*schema.*/baton_insert_gates(p_gates text, p_notify boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gates$
DECLARE
    v_roots bigint[];
BEGIN
    WITH new AS (
        SELECT * FROM jsonb_to_recordset(p_gates::jsonb) AS x (
            job_id bigint, workflow_id uuid, names jsonb, need integer, timeout double precision,
            on_timeout text, fallback jsonb, correlation text, prompt text, answers jsonb
        )
    ),
    groups AS (
        INSERT INTO /*schema.*/workflow_wait_groups AS g (
            workflow_id, job_id, key, gate, names, need, timeout, on_timeout, fallback, correlation, prompt,
            answers
        )
        SELECT
            n.workflow_id, n.job_id, '', true, ARRAY(SELECT jsonb_array_elements_text(n.names)), n.need,
            n.timeout, n.on_timeout, n.fallback, n.correlation, n.prompt, n.answers
        FROM new n
        ORDER BY n.job_id
        RETURNING g.id, g.workflow_id, g.correlation, g.names
    ),
    members AS (
        INSERT INTO /*schema.*/workflow_wait_members (group_id, name, workflow_id, correlation)
        SELECT g.id, m.name, g.workflow_id, g.correlation FROM groups g, unnest(g.names) AS m (name)
    ),
    marked AS (
        UPDATE /*schema.*/workflow_nodes n
        SET waits = true
        FROM new x
        WHERE n.job_id = x.job_id
        RETURNING n.job_id, n.pending
    )
    SELECT array_agg(m.job_id ORDER BY m.job_id) FILTER (WHERE m.pending = 1) INTO v_roots FROM marked m;

    -- A group that is written while an event is sent by its key is either seen by the sender or sees the event.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(/*schema_literal*/'public' || '.' || k.correlation, 0))
    FROM (
        SELECT DISTINCT x.correlation
        FROM jsonb_to_recordset(p_gates::jsonb) AS x (correlation text)
        WHERE x.correlation IS NOT NULL
        ORDER BY x.correlation
    ) k;

    -- Events that are there already were sent by a key: the timer decides them, so that nothing of the new
    -- workflow settles before its caller has seen it.
    IF v_roots IS NOT NULL THEN
        PERFORM FROM /*schema.*/baton_arm(v_roots, false, p_notify);
    END IF;
END
$gates$;

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
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an event is sent by reads that follow a lock: that needs READ COMMITTED, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    SELECT w.outstanding INTO v_outstanding
    FROM /*schema.*/workflows w WHERE w.id = v_workflow FOR NO KEY UPDATE;
    IF v_outstanding IS NULL OR v_outstanding = 0 THEN
        RETURN QUERY SELECT CASE WHEN v_outstanding = 0 OR EXISTS (
            SELECT FROM /*schema.*/workflow_completions c WHERE c.workflow_id = v_workflow
        ) THEN 'finished' ELSE 'unknown' END, NULL;
        RETURN;
    END IF;

    IF p_dedupe IS NOT NULL THEN
        UPDATE /*schema.*/workflow_events e
        SET duplicates = e.duplicates + 1
        WHERE e.workflow_id = v_workflow AND e.name = p_name AND e.dedupe_id = p_dedupe;
        IF FOUND THEN
            RETURN QUERY SELECT 'duplicate', NULL;
            RETURN;
        END IF;
    END IF;

    -- In two steps: joined, a plan that was made while the tables were empty went through all groups.
    v_groups := ARRAY(
        SELECT m.group_id FROM /*schema.*/workflow_wait_members m
        WHERE m.workflow_id = v_workflow AND m.name = p_name AND m.state = 'waiting'
    );
    SELECT json_agg(json_build_object('group', g.id, 'schema', g.answers, 'pending', g.status = 'pending'))::text
    INTO v_candidates
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = ANY (v_groups) AND (g.deadline IS NULL OR g.deadline > clock_timestamp())
    HAVING bool_or(g.answers IS NOT NULL AND g.id <> ALL (v_asked));
    IF v_candidates IS NOT NULL THEN
        RETURN QUERY SELECT 'check', v_candidates;
        RETURN;
    END IF;

    INSERT INTO /*schema.*/workflow_events AS e (workflow_id, name, payload, dedupe_id)
    VALUES (v_workflow, p_name, p_payload::jsonb, p_dedupe)
    RETURNING e.id INTO v_event;

    SELECT g.id INTO v_group
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = ANY (v_groups) AND (g.status = 'pending') IS TRUE AND g.id <> ALL (v_refusing)
    AND (g.deadline IS NULL OR g.deadline > clock_timestamp())
    AND (SELECT n.state IS NULL FROM /*schema.*/workflow_nodes n WHERE n.job_id = g.job_id)
    ORDER BY g.id
    LIMIT 1;
    IF v_group IS NULL THEN
        RETURN QUERY SELECT 'buffered', NULL;
        RETURN;
    END IF;

    UPDATE /*schema.*/workflow_events e
    SET state = 'taken', group_id = v_group, receivers = 1
    WHERE e.id = v_event;
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
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an event is sent by reads that follow a lock: that needs READ COMMITTED, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
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

-- Puts claimed jobs to sleep until what their steps wait for has come, each fenced on its claim. A wait that is there
-- already is adopted with its deadline. Takes the locks of the workflows.
--
-- Rows returned, by kind: those of baton_decide; 1 a stale claim (id); 8 a job that sleeps or is runnable (id).
CREATE FUNCTION /*schema.*/baton_suspend(
    p_jobs bigint[], p_claims timestamp[], p_waits text[], p_notify boolean
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
AS $suspend$
#variable_conflict use_column
DECLARE
    v_one record;
    v_wait jsonb;
    v_status text;
    v_group bigint;
    v_armed bigint[] := '{}';
    v_queue text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'baton_suspend reads after it locks: it needs READ COMMITTED, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM FROM /*schema.*/workflows w
    WHERE w.id = ANY (ARRAY(
        SELECT n.workflow_id FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY (p_jobs)
    ))
    ORDER BY w.id
    FOR NO KEY UPDATE;

    FOR v_one IN
        SELECT o.id, o.claim, o.wait, n.workflow_id
        FROM unnest(p_jobs, p_claims, p_waits) AS o (id, claim, wait)
        JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
        ORDER BY o.id
    LOOP
        UPDATE /*schema.*/oban_jobs j
        SET state = 'suspended', attempt = greatest(j.attempt - 1, 0)
        WHERE j.id = v_one.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = v_one.claim;
        IF NOT FOUND THEN
            -- A claim that is ours and waits already is the echo of a commit whose reply was lost.
            RETURN QUERY SELECT CASE WHEN EXISTS (
                SELECT FROM /*schema.*/oban_jobs j
                JOIN /*schema.*/workflow_wait_groups g ON g.job_id = j.id AND g.key = v_one.wait::jsonb ->> 'key'
                WHERE j.id = v_one.id AND j.attempted_at = v_one.claim
                AND (j.state IN ('suspended', 'available')) IS TRUE
            ) THEN 8 ELSE 1 END::smallint, v_one.id, NULL, NULL::uuid;
            CONTINUE;
        END IF;
        RETURN QUERY SELECT 8::smallint, v_one.id, NULL, NULL::uuid;
        v_wait := v_one.wait::jsonb;

        SELECT g.status INTO v_status
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.job_id = v_one.id AND g.key = v_wait ->> 'key';
        IF FOUND THEN
            -- It settled while its step ran: somebody had moved the job by hand.
            IF v_status NOT IN ('dormant', 'pending') THEN
                UPDATE /*schema.*/oban_jobs j SET state = 'available'
                WHERE j.id = v_one.id
                RETURNING j.queue INTO v_queue;
                IF p_notify THEN
                    PERFORM pg_notify(
                        /*schema_literal*/'public' || '.oban_insert',
                        json_build_object('queue', v_queue)::text
                    );
                END IF;
                RETURN QUERY SELECT 3::smallint, NULL::bigint, v_queue, NULL::uuid;
            END IF;
            CONTINUE;
        END IF;

        INSERT INTO /*schema.*/workflow_wait_groups AS g (
            workflow_id, job_id, key, gate, names, need, timeout, until, on_timeout, fallback, correlation,
            prompt, answers
        )
        SELECT
            v_one.workflow_id, v_one.id, x.key, false, ARRAY(SELECT jsonb_array_elements_text(x.names)), x.need,
            x.timeout, x.until, 'result', x.fallback, x.correlation, x.prompt, x.answers
        FROM jsonb_to_record(v_wait) AS x (
            key text, names jsonb, need integer, timeout double precision, until timestamptz, fallback jsonb,
            correlation text, prompt text, answers jsonb
        )
        RETURNING g.id INTO v_group;
        INSERT INTO /*schema.*/workflow_wait_members (group_id, name, workflow_id, correlation)
        SELECT g.id, m.name, g.workflow_id, g.correlation
        FROM /*schema.*/workflow_wait_groups g, unnest(g.names) AS m (name)
        WHERE g.id = v_group;
        UPDATE /*schema.*/workflow_nodes n SET pending = n.pending + 1, waits = true WHERE n.job_id = v_one.id;
        v_armed := v_armed || v_one.id;
    END LOOP;

    RETURN QUERY
    SELECT a.kind, a.id, a.data, a.workflow_id FROM /*schema.*/baton_arm(v_armed, true, p_notify) a;
END
$suspend$;

-- Decides those of the given groups whose time has come, where nobody else is at work on their workflows.
-- Rows returned: those of baton_decide.
CREATE FUNCTION /*schema.*/baton_expire(p_groups bigint[], p_notify boolean)
RETURNS TABLE (kind smallint, id bigint, data text, workflow_id uuid)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $expire$
#variable_conflict use_column
DECLARE
    v_locked uuid[];
    v_due bigint[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'baton_expire reads after it locks: it needs READ COMMITTED, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT array_agg(l.id) INTO v_locked
    FROM (
        SELECT w.id FROM /*schema.*/workflows w
        WHERE w.id = ANY (ARRAY(
            SELECT g.workflow_id FROM /*schema.*/workflow_wait_groups g WHERE g.id = ANY (p_groups)
        ))
        ORDER BY w.id
        FOR NO KEY UPDATE SKIP LOCKED
    ) l;

    SELECT coalesce(array_agg(g.id), '{}') INTO v_due
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = ANY (p_groups) AND g.workflow_id = ANY (v_locked)
    AND g.status = 'pending' AND g.wake_at <= clock_timestamp();

    -- A step may have ended without its wait: somebody moved its job by hand.
    PERFORM /*schema.*/baton_close_waits(s.jobs, 'the step ended without it')
    FROM (
        SELECT array_agg(n.job_id) AS jobs
        FROM /*schema.*/workflow_nodes n
        WHERE n.state IS NOT NULL AND n.job_id = ANY (ARRAY(
            SELECT g.job_id FROM /*schema.*/workflow_wait_groups g WHERE g.id = ANY (v_due)
        ))
    ) s
    WHERE s.jobs IS NOT NULL;

    RETURN QUERY
    SELECT d.kind, d.id, d.data, d.workflow_id FROM /*schema.*/baton_decide(v_due, '{}', false, p_notify) d;
END
$expire$;
