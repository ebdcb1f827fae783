-- Puts claimed jobs to sleep until what their steps wait for has come, each fenced on its claim. A wait that is there
-- already is adopted with its deadline. Takes the locks of the workflows.
--
-- Rows returned, by kind: those of baton_decide_waits; 8 a job that sleeps or is runnable (id). A stale claim has no row.
CREATE OR REPLACE FUNCTION /*schema.*/baton_suspend(
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
    v_left integer;
    v_armed bigint[] := '{}';
    v_opened bigint[] := '{}';
    v_queue text;
BEGIN
    PERFORM /*schema.*/baton_require_read_committed();
    PERFORM FROM /*schema.*/workflows w
    WHERE w.id = ANY (ARRAY(
        SELECT n.workflow_id FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY (p_jobs)
    ))
    ORDER BY w.id
    FOR NO KEY UPDATE;

    FOR v_one IN
        SELECT o.id, o.claim, o.wait, n.workflow_id, n.pending
        FROM unnest(p_jobs, p_claims, p_waits) AS o (id, claim, wait)
        JOIN /*schema.*/workflow_nodes n ON n.job_id = o.id
        ORDER BY o.id
    LOOP
        UPDATE /*oban.*/oban_jobs j
        SET state = 'suspended', attempt = greatest(j.attempt - 1, 0)
        WHERE j.id = v_one.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = v_one.claim;
        IF NOT FOUND THEN
            -- A claim that is ours and waits already is the echo of a commit whose reply was lost.
            RETURN QUERY SELECT 8::smallint, v_one.id, NULL, NULL::uuid WHERE EXISTS (
                SELECT FROM /*oban.*/oban_jobs j
                LEFT JOIN /*schema.*/workflow_wait_groups g
                    ON g.job_id = j.id AND g.replay_key = v_one.wait::jsonb ->> 'replay_key'
                WHERE j.id = v_one.id AND j.attempted_at = v_one.claim
                AND (
                    g.id IS NOT NULL AND j.state = 'suspended'
                    OR j.state = 'available'
                    AND (g.status NOT IN ('dormant', 'pending') OR /*schema.*/baton_ruled_out(j.id))
                ) IS TRUE
            );
            CONTINUE;
        END IF;
        RETURN QUERY SELECT 8::smallint, v_one.id, NULL, NULL::uuid;
        v_wait := v_one.wait::jsonb;

        IF v_one.pending > 0 AND /*schema.*/baton_ruled_out(v_one.id) THEN
            -- The cascade passed it by while it ran, and comes no second time: the gate decides at its next claim.
            UPDATE /*oban.*/oban_jobs j SET state = 'available' WHERE j.id = v_one.id RETURNING j.queue INTO v_queue;
            IF p_notify THEN
                PERFORM /*schema.*/baton_notify_jobs(v_queue);
            END IF;
            RETURN QUERY SELECT 3::smallint, NULL::bigint, v_queue, NULL::uuid;
            CONTINUE;
        END IF;
        IF v_one.pending > 0 THEN
            -- Its job was moved by hand while it waited, and its code waits for something else now.
            v_left := /*schema.*/baton_close_waits(
                ARRAY[v_one.id], 'the step waits for something else', v_wait ->> 'replay_key'
            );
            UPDATE /*schema.*/workflow_nodes n
            SET pending = greatest(n.pending - v_left, 0)
            WHERE n.job_id = v_one.id;
        END IF;

        SELECT g.status INTO v_status
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.job_id = v_one.id AND g.replay_key = v_wait ->> 'replay_key';
        IF FOUND THEN
            -- It settled while its step ran: somebody had moved the job by hand. In a paused workflow it sleeps on.
            IF v_status NOT IN ('dormant', 'pending') THEN
                UPDATE /*oban.*/oban_jobs j SET state = 'available'
                FROM /*schema.*/workflow_nodes n
                WHERE j.id = v_one.id AND n.job_id = j.id AND n.pending = 0
                RETURNING j.queue INTO v_queue;
                IF NOT FOUND THEN
                    -- Its condition was decided again while it ran, and is not met.
                    v_opened := v_opened || ARRAY(
                        SELECT n.job_id FROM /*schema.*/workflow_nodes n
                        WHERE n.job_id = v_one.id AND n.undecided AND n.pending = 1
                    );
                    CONTINUE;
                END IF;
                IF p_notify THEN
                    PERFORM /*schema.*/baton_notify_jobs(v_queue);
                END IF;
                RETURN QUERY SELECT 3::smallint, NULL::bigint, v_queue, NULL::uuid;
            END IF;
            CONTINUE;
        END IF;

        INSERT INTO /*schema.*/workflow_wait_groups AS g (
            workflow_id, job_id, replay_key, wait_step, names, need, timeout, until, on_timeout, fallback, correlation_key,
            prompt, payload_schema
        )
        SELECT
            v_one.workflow_id, v_one.id, x.replay_key, false, ARRAY(SELECT jsonb_array_elements_text(x.names)), x.need,
            x.timeout, x.until, 'result', x.fallback, x.correlation_key, x.prompt, x.payload_schema
        FROM jsonb_to_record(v_wait) AS x (
            replay_key text, names jsonb, need integer, timeout double precision, until timestamptz, fallback jsonb,
            correlation_key text, prompt text, payload_schema jsonb
        )
        RETURNING g.id INTO v_group;
        INSERT INTO /*schema.*/workflow_wait_members (group_id, name, workflow_id, correlation_key)
        SELECT g.id, m.name, g.workflow_id, g.correlation_key
        FROM /*schema.*/workflow_wait_groups g, unnest(g.names) AS m (name)
        WHERE g.id = v_group;
        -- A step that has begun and waits is not decided on again: the wait takes the place of the decision.
        UPDATE /*schema.*/workflow_nodes n
        SET pending = n.pending + (NOT n.undecided)::integer, undecided = false, waits = true
        WHERE n.job_id = v_one.id;
        v_armed := v_armed || v_one.id;
    END LOOP;

    IF cardinality(v_opened) > 0 THEN
        RETURN QUERY
        SELECT o.kind, o.id, o.data, o.workflow_id FROM /*schema.*/baton_open(v_opened, true, p_notify, false) o;
    END IF;
    RETURN QUERY
    SELECT a.kind, a.id, a.data, a.workflow_id FROM /*schema.*/baton_arm(v_armed, true, p_notify, true) a;
END
$suspend$;
