-- The one decider. Gives waiting groups what lies in their mailboxes, in the order it was sent, and settles
-- those that have enough or whose time is over. A wait step settles as a completed step, by baton_settle_and_claim, and wait steps
-- below it follow in the same transaction. The caller holds the locks of the workflows.
--
-- A workflow's own mailbox is protected by the workflow's lock. The mailbox of a key is shared by many workflows,
-- and no lock protects it: nobody waits for anybody because of a key. Instead:
--   * An event is taken under its row's lock. One that somebody else has locked is passed over.
--   * A group that stays pending while its mailbox shows an event asks for another look (wake_at), in the
--     transaction that passed the event over: whoever holds it may roll back.
--   * A group that was written, or put back to wait again, in the transaction that armed it asks for another look too:
--     until the commit nobody who sends an event sees that it waits, and it did not see events that were not
--     committed. Of its look and the sender's, both of which begin after the writer's own commit, the later one sees
--     the other side.
--
-- Events for a group with a schema count only when their ids are among the checked ones; p_looked says that the
-- mailbox was read for that.
--
-- Rows returned, by kind: 2 a workflow announced (workflow_id, data = its completion as JSON); 3 a queue with jobs
-- left available (data); 4 a wait that settled (id = its group, data = its facts as JSON); 6 a wait step whose time is
-- over and whose step is to be failed (id), which is left to the caller; 11 a step that was skipped (id, data = its
-- facts as JSON).
CREATE OR REPLACE FUNCTION /*schema.*/baton_decide_waits(
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
    v_wait_steps bigint[];
    v_results text[];
    v_traces text[];
BEGIN
    WHILE cardinality(v_due) > 0 LOOP
        v_wait_steps := '{}';
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
                                AND (v_group.payload_schema IS NULL OR e.id = ANY (p_checked))
                                ORDER BY e.workflow_id, e.name, e.id
                                LIMIT 1
                            )
                            UNION ALL
                            (
                                SELECT k.id
                                FROM (
                                    SELECT e.id FROM /*schema.*/workflow_events e
                                    WHERE e.correlation_key = v_group.correlation_key AND e.name = m.name
                                    AND e.correlation_key IS NOT NULL AND e.state IN ('kept', 'open')
                                    AND (e.receivers = 0 OR v_group.id <= e.newest_group)
                                    AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)
                                    AND (v_group.payload_schema IS NULL OR e.id = ANY (p_checked))
                                    ORDER BY e.correlation_key, e.name, e.id
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
                        newest_group = CASE WHEN e.correlation_key IS NOT NULL THEN coalesce(
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
            v_passed := v_left > 0 AND v_group.correlation_key IS NOT NULL AND EXISTS (
                SELECT
                FROM /*schema.*/workflow_wait_members m
                JOIN /*schema.*/workflow_events e ON e.correlation_key = v_group.correlation_key AND e.name = m.name
                WHERE m.group_id = v_group.id AND m.state = 'waiting'
                AND e.correlation_key IS NOT NULL AND e.state IN ('kept', 'open')
                AND (e.receivers = 0 OR v_group.id <= e.newest_group)
                AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)
                AND (v_group.payload_schema IS NULL OR e.id = ANY (p_checked))
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
                WHERE g.id = v_group.id AND g.status = 'pending' AND (g.payload_schema IS NULL OR p_looked)
                AND (v_passed OR g.wake_at <= v_now);
                CONTINUE;
            ELSIF v_group.wait_step AND v_group.on_timeout <> 'result' THEN
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

            IF v_group.wait_step THEN
                v_wait_steps := v_wait_steps || v_group.job_id;
                v_results := v_results || jsonb_build_object(
                    'value', /*schema.*/baton_wait_outcome(v_group.id)
                )::text;
                -- The node of a wait step has no attempt: the sender of the event that settled it stands for it.
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
                'job_id', v_group.job_id, 'replay_key', v_group.replay_key, 'wait_step', v_group.wait_step,
                'outcome', CASE v_status WHEN 'completed' THEN 'events' ELSE v_status END,
                'seconds', extract(epoch FROM v_now - v_group.armed_at)
            )::text, v_group.workflow_id
            FROM /*schema.*/workflow_nodes n
            JOIN /*schema.*/workflows w ON w.id = n.workflow_id
            WHERE n.job_id = v_group.job_id;
        END LOOP;

        v_due := '{}';
        IF cardinality(v_wait_steps) > 0 THEN
            v_stamp := timezone('UTC', clock_timestamp());
            UPDATE /*oban.*/oban_jobs j
            SET state = 'executing', attempted_at = v_stamp
            FROM /*schema.*/workflow_nodes n
            WHERE j.id = ANY (v_wait_steps) AND n.job_id = j.id
            AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
            -- Somebody may have moved it by hand: nobody claims it, so it settles all the same.
            AND (j.state IN ('suspended', 'available', 'scheduled', 'retryable')) IS TRUE;
            FOR v_row IN
                SELECT s.* FROM /*schema.*/baton_settle_and_claim(
                    v_wait_steps, array_fill(v_stamp, ARRAY[cardinality(v_wait_steps)]), v_results, v_traces,
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
                    WHEN 11 THEN
                        RETURN QUERY SELECT 11::smallint, v_row.id, v_row.args, NULL::uuid;
                    ELSE
                        NULL;
                END CASE;
            END LOOP;
        END IF;
    END LOOP;
END
$decide$;
