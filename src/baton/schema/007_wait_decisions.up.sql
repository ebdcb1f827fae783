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

-- Of these groups, those of which nobody else has locked the workflow, nor, where they are pending, the step or its
-- job. Takes these locks, the workflows' first, and waits for none. A job that is not suspended is not locked: it
-- may be available, and whoever claims passes by what is locked.
CREATE FUNCTION /*schema.*/baton_lock_free(p_groups bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $free$
DECLARE
    v_workflows uuid[];
    v_pending bigint[];
    v_nodes bigint[];
    v_suspended bigint[];
    v_jobs bigint[];
BEGIN
    SELECT array_agg(l.id) INTO v_workflows
    FROM (
        SELECT w.id FROM /*schema.*/workflows w
        WHERE w.id = ANY (ARRAY(
            SELECT g.workflow_id FROM /*schema.*/workflow_wait_groups g WHERE g.id = ANY (p_groups)
        ))
        ORDER BY w.id
        FOR NO KEY UPDATE SKIP LOCKED
    ) l;
    -- What is read from here on holds: it changes under these locks only.
    v_pending := ARRAY(
        SELECT g.job_id FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (p_groups) AND g.workflow_id = ANY (v_workflows) AND (g.status = 'pending') IS TRUE
    );
    v_nodes := ARRAY(
        SELECT n.job_id FROM /*schema.*/workflow_nodes n
        WHERE n.job_id = ANY (v_pending)
        ORDER BY n.job_id
        FOR NO KEY UPDATE SKIP LOCKED
    );
    v_suspended := ARRAY(
        SELECT j.id FROM /*schema.*/oban_jobs j
        WHERE j.id = ANY (v_pending) AND (j.state = 'suspended') IS TRUE
    );
    v_jobs := ARRAY(
        SELECT j.id FROM /*schema.*/oban_jobs j
        WHERE j.id = ANY (v_suspended)
        ORDER BY j.id
        FOR NO KEY UPDATE SKIP LOCKED
    );
    RETURN ARRAY(
        SELECT g.id FROM /*schema.*/workflow_wait_groups g
        WHERE g.id = ANY (p_groups) AND g.workflow_id = ANY (v_workflows)
        AND (
            g.job_id <> ALL (v_pending)
            OR g.job_id = ANY (v_nodes) AND (g.job_id <> ALL (v_suspended) OR g.job_id = ANY (v_jobs))
        )
        ORDER BY g.id
    );
END
$free$;

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
    SET pending = greatest(n.pending - 1, 0), released_at = CASE WHEN n.pending <= 1 THEN clock_timestamp() END
    WHERE n.job_id = p_job AND n.state IS NULL
    RETURNING n.pending INTO v_pending;
    IF v_pending IS DISTINCT FROM 0 THEN
        RETURN NULL;
    END IF;
    UPDATE /*schema.*/oban_jobs j
    SET state = 'available'
    FROM /*schema.*/workflow_nodes n
    WHERE j.id = p_job AND (j.state = 'suspended') IS TRUE AND n.job_id = j.id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
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
-- A workflow's own mailbox is protected by the workflow's lock. The mailbox of a key is shared by many workflows,
-- and no lock protects it: nobody waits for anybody because of a key. Instead:
--   * An event is taken under its row's lock. One that somebody else has locked is passed over.
--   * A group that stays pending while its mailbox shows an event asks for another look (wake_at), in the
--     transaction that passed the event over: whoever holds it may roll back.
--   * A group that was written in the transaction that armed it asks for another look too: until the commit nobody
--     who sends an event sees it, and it did not see events that were not committed. Of its look and the sender's,
--     both of which begin after the writer's own commit, the later one sees the other side.
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
    v_passed boolean;
    v_now timestamptz;
    v_stamp timestamp;
    v_queue text;
    v_gates bigint[];
    v_results text[];
    v_traces text[];
BEGIN
    WHILE cardinality(v_due) > 0 LOOP
        v_gates := '{}';
        v_results := '{}';
        v_traces := '{}';
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
                                SELECT k.id
                                FROM (
                                    SELECT e.id FROM /*schema.*/workflow_events e
                                    WHERE e.correlation = v_group.correlation AND e.name = m.name
                                    AND e.correlation IS NOT NULL AND e.state IN ('kept', 'open')
                                    AND (e.receivers = 0 OR v_group.id <= e.newest_group)
                                    AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)
                                    AND (v_group.answers IS NULL OR e.id = ANY (p_checked))
                                    ORDER BY e.correlation, e.name, e.id
                                    LIMIT 1
                                    FOR NO KEY UPDATE SKIP LOCKED
                                ) k
                            )
                        ) e
                        WHERE m.group_id = v_group.id AND m.state = 'waiting'
                        ORDER BY m.name, e.id
                    ) found
                    ORDER BY found.id
                    LIMIT v_left
                LOOP
                    UPDATE /*schema.*/workflow_events e
                    SET state = CASE WHEN e.state = 'open' THEN 'open' ELSE 'taken' END,
                        group_id = v_group.id,
                        receivers = e.receivers + 1,
                        newest_group = CASE WHEN e.correlation IS NOT NULL THEN coalesce(
                            e.newest_group, (SELECT max(g.id) FROM /*schema.*/workflow_wait_groups g)
                        ) END
                    WHERE e.id = v_event.id AND e.state IN ('kept', 'open');
                    CONTINUE WHEN NOT FOUND;
                    UPDATE /*schema.*/workflow_wait_members m
                    SET state = 'received', event_id = v_event.id
                    WHERE m.group_id = v_group.id AND m.name = v_event.name AND m.state = 'waiting';
                    v_left := v_left - 1;
                END LOOP;
            END IF;

            -- What stayed behind is locked by somebody who hands it out: it may still come to this group, also when
            -- its time is over meanwhile, because it was sent before.
            v_passed := v_left > 0 AND v_group.correlation IS NOT NULL AND EXISTS (
                SELECT
                FROM /*schema.*/workflow_wait_members m
                JOIN /*schema.*/workflow_events e ON e.correlation = v_group.correlation AND e.name = m.name
                WHERE m.group_id = v_group.id AND m.state = 'waiting'
                AND e.correlation IS NOT NULL AND e.state IN ('kept', 'open')
                AND (e.receivers = 0 OR v_group.id <= e.newest_group)
                AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)
                AND (v_group.answers IS NULL OR e.id = ANY (p_checked))
            );

            IF v_left <= 0 THEN
                v_status := 'completed';
            ELSIF v_passed OR v_group.deadline > v_now OR v_group.deadline IS NULL THEN
                -- A look that is still to come is for what nobody sees yet: it stays.
                UPDATE /*schema.*/workflow_wait_groups g
                SET wake_at = CASE
                    WHEN v_passed THEN least(
                        CASE WHEN g.deadline > v_now THEN g.deadline END,
                        v_now + least(greatest((v_now - g.armed_at) / 4, interval '100 ms'), interval '2 s')
                    )
                    ELSE g.deadline
                END
                WHERE g.id = v_group.id AND g.status = 'pending' AND (g.answers IS NULL OR p_looked)
                AND (v_passed OR g.wake_at <= v_now);
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

            IF v_status <> 'completed' OR v_group.need < cardinality(v_group.names) THEN
                UPDATE /*schema.*/workflow_wait_members m
                SET state = 'missed'
                WHERE m.group_id = v_group.id AND m.state = 'waiting';
            END IF;

            IF v_group.gate THEN
                v_gates := v_gates || v_group.job_id;
                v_results := v_results || jsonb_build_object(
                    'value', /*schema.*/baton_wait_outcome(v_group.id)
                )::text;
                -- The node of a gate has no attempt: the sender of the event that settled it stands for it.
                v_traces := v_traces || (
                    SELECT e.trace
                    FROM /*schema.*/workflow_wait_members m
                    JOIN /*schema.*/workflow_events e ON e.id = m.event_id
                    WHERE m.group_id = v_group.id AND m.state = 'received'
                    ORDER BY e.id DESC
                    LIMIT 1
                );
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
            FROM /*schema.*/workflow_nodes n
            WHERE j.id = ANY (v_gates) AND n.job_id = j.id
            AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
            -- Somebody may have moved it by hand: nobody claims it, so it settles all the same.
            AND (j.state IN ('suspended', 'available', 'scheduled', 'retryable')) IS TRUE;
            FOR v_row IN
                SELECT s.* FROM /*schema.*/baton_settle(
                    v_gates, array_fill(v_stamp, ARRAY[cardinality(v_gates)]), v_results, v_traces,
                    '{}', '{}', '{}', NULL, p_notify, '{}'
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
--
-- p_new: the groups were written in this transaction, so no sender by a key sees them before it commits. Those with
-- a key ask for a look after that; see baton_decide.
CREATE FUNCTION /*schema.*/baton_arm(
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
                WHERE e.correlation = g.correlation AND e.name = ANY (g.names)
                AND e.correlation IS NOT NULL AND e.state IN ('kept', 'open')
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
                WHEN p_new AND g.correlation IS NOT NULL THEN least(v_now + interval '100 ms', l.deadline)
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
