-- The hot path: settles a batch of completed steps, releases their dependents, hands released jobs over
-- to the caller, fills its remaining room with available jobs, and announces workflows that ended.
-- One round trip, one commit.
--
-- Steps that have not completed are settled by several statements, in src/baton/settling/settle_failures.py. What both write must
-- stay equal: docs/architecture.md has the lines under "Two ways of settling", tests/settling/test_two_ways.py compares.
--
-- Every decision is read after the workflows are locked; each statement of a PL/pgSQL function takes a new
-- snapshot under READ COMMITTED, so it sees what the lock waited for. Plans must not depend on statistics:
-- a plan chosen while a table was small doubled the cost per step of a long chain, so index plans are forced,
-- and a state is compared as (state = '...') IS TRUE, which no index answers: on a new table the planner went
-- through all suspended jobs by the index on the state instead of to one job by its key, 20 times slower.
--
-- p_traces is NULL unless somebody traces: then it is what the steps' nodes keep, and the jobs handed over or
-- claimed come with what their dependencies kept (links).
--
-- p_left_out are jobs that are not claimed: the database refused it.
--
-- A job is the one of a node when its meta names the node's workflow, not by its id alone: ids come from a sequence
-- that others may restart. What has the id of a node and is not its job is a job outside workflows. That is looked at
-- when a job is claimed: an outcome of one outside workflows comes without a result.
--
-- Rows returned, by kind: 0 a job now held by the caller (with a name and no workflow_id: a node of another job has
-- its id); 1 a stale outcome (id, attempted_at = its claim); 2 a workflow announced
-- (workflow_id, args = its completion as JSON); 3 a queue with jobs left available (queue); 4 a wait that
-- settled in the same breath (args = its facts as JSON); 5 a wait group that is to be decided (id), told to the
-- decider of the waits only, which calls this without a claimant; 11 a step that was skipped (id, args = its facts as
-- JSON).
CREATE OR REPLACE FUNCTION /*schema.*/baton_settle_and_claim(
    p_ids bigint[], p_claims timestamp[], p_results text[], p_traces text[],
    p_queues text[], p_rooms integer[], p_claim boolean[], p_claimant text[], p_notify boolean,
    p_left_out bigint[]
)
RETURNS TABLE (
    kind smallint, id bigint, attempted_at timestamp, queue text, worker text, args text, meta text,
    attempt integer, max_attempts integer, workflow_id uuid, name text, pending integer,
    settled text, dependencies integer, timeout double precision,
    model text, debug boolean, links text[], queued double precision
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $settle$
#variable_conflict use_column
DECLARE
    v_moment timestamptz;
    v_now timestamp;
    v_done integer := 0;
    v_taken bigint[] := '{}';
    v_taken_queues text[] := '{}';
    v_woken text[];
    v_finished uuid[];
    v_opened bigint[];
    v_more bigint[];
    v_claimed bigint[];
    v_room integer;
BEGIN
    PERFORM /*schema.*/baton_require_read_committed();

    -- Baton's own sessions bound their waits for locks; through a pooler they cannot.
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '2s', true);
    END IF;

    IF cardinality(p_ids) > 0 THEN
        PERFORM FROM /*schema.*/workflows w
        WHERE w.id = ANY (ARRAY(
            SELECT n.workflow_id FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY (p_ids)
        ))
        ORDER BY w.id
        FOR NO KEY UPDATE;
    END IF;
    v_moment := clock_timestamp();
    v_now := timezone('UTC', v_moment);

    IF cardinality(p_ids) > 0 THEN
        WITH done AS (
            UPDATE /*oban.*/oban_jobs j
            SET state = 'completed', completed_at = v_now
            FROM unnest(p_ids, p_claims, p_results, p_traces) AS o (id, claim, result, trace)
            WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
            RETURNING j.id, o.result, o.trace
        ),
        settled AS (
            UPDATE /*schema.*/workflow_nodes n
            SET state = 'completed', result = d.result::jsonb, trace = d.trace
            FROM done d
            WHERE n.job_id = d.id AND n.state IS NULL AND d.result IS NOT NULL
            RETURNING
                n.workflow_id, n.dependents, n.job_id,
                n.waits OR n.any_dependents IS NOT NULL AS more
        ),
        counted AS (
            UPDATE /*schema.*/workflows w
            SET outstanding = w.outstanding - s.steps,
                finished_at = CASE WHEN w.outstanding = s.steps THEN clock_timestamp() END
            FROM (
                SELECT s.workflow_id, count(*)::integer AS steps FROM settled s GROUP BY s.workflow_id
            ) s
            WHERE w.id = s.workflow_id
            RETURNING w.id, w.outstanding
        ),
        decremented AS (
            UPDATE /*schema.*/workflow_nodes n
            SET pending = greatest(n.pending - d.settled, 0),
                released_at = CASE WHEN n.pending <= d.settled THEN v_moment END
            FROM (
                SELECT d.job_id, count(*)::integer AS settled
                FROM settled s, unnest(s.dependents) AS d (job_id)
                GROUP BY d.job_id
            ) d
            WHERE n.job_id = d.job_id
            RETURNING n.job_id, n.workflow_id, n.pending, n.state, n.waits OR n.undecided AS opens
        ),
        ready AS (
            SELECT
                j.id,
                -- One without a time of its own is due, whatever the clock said when it was inserted.
                j.scheduled_at <= greatest(v_now, j.inserted_at) AS due,
                coalesce(q.room, 0) >= row_number() OVER (
                    PARTITION BY j.queue, j.scheduled_at <= greatest(v_now, j.inserted_at)
                    ORDER BY j.priority, j.scheduled_at, j.id
                ) AND j.attempt < j.max_attempts
                -- What is more urgent goes first: then the claim below decides. Nothing is more urgent than 0.
                AND (j.priority = 0 OR NOT EXISTS (
                    SELECT FROM /*oban.*/oban_jobs a
                    WHERE a.state = 'available' AND a.queue = j.queue AND a.priority < j.priority
                    AND a.attempt < a.max_attempts
                )) AS room
            FROM decremented d
            JOIN /*oban.*/oban_jobs j ON j.id = d.job_id
            LEFT JOIN unnest(p_queues, p_rooms) AS q (queue, room) ON q.queue = j.queue
            WHERE d.pending = 0 AND d.state IS NULL AND (j.state = 'suspended') IS TRUE
            AND (j.meta ->> 'workflow_id' = d.workflow_id::text) IS TRUE
        ),
        released AS (
            UPDATE /*oban.*/oban_jobs j
            SET state = CASE
                    WHEN NOT r.due THEN 'scheduled'
                    WHEN r.room THEN 'executing'
                    ELSE 'available'
                END::/*oban.*/oban_job_state,
                attempt = j.attempt + (r.due AND r.room)::integer,
                attempted_at = CASE WHEN r.due AND r.room THEN v_now ELSE j.attempted_at END,
                attempted_by = CASE WHEN r.due AND r.room THEN p_claimant ELSE j.attempted_by END
            FROM ready r
            WHERE j.id = r.id AND (j.state = 'suspended') IS TRUE
            RETURNING j.id, j.queue, j.state
        )
        SELECT
            (SELECT count(*) FROM done),
            (SELECT array_agg(c.id) FROM counted c WHERE c.outstanding = 0),
            coalesce(array_agg(r.id) FILTER (WHERE r.state = 'executing'), '{}'),
            coalesce(array_agg(r.queue) FILTER (WHERE r.state = 'executing'), '{}'),
            array_agg(DISTINCT r.queue) FILTER (WHERE r.state = 'available'),
            (
                SELECT array_agg(d.job_id ORDER BY d.job_id)
                FROM decremented d
                WHERE d.opens AND d.pending = 1 AND d.state IS NULL
            ),
            (SELECT array_agg(s.job_id) FROM settled s WHERE s.more)
        INTO v_done, v_finished, v_taken, v_taken_queues, v_woken, v_opened, v_more
        FROM released r;

        IF v_more IS NOT NULL THEN
            PERFORM /*schema.*/baton_close_waits(v_more, 'the step ended without it', NULL);
            -- A completed step satisfies the groups of alternatives in which it is the first.
            WITH satisfied AS (
                UPDATE /*schema.*/workflow_nodes n
                SET any_of_state = 'completed',
                    pending = greatest(n.pending - 1, 0),
                    released_at = CASE WHEN n.pending <= 1 THEN v_moment END
                FROM (
                    SELECT DISTINCT a.job_id
                    FROM /*schema.*/workflow_nodes s, unnest(s.any_dependents) AS a (job_id)
                    WHERE s.job_id = ANY (v_more)
                ) a
                WHERE n.job_id = a.job_id AND n.state IS NULL AND n.any_of_state IS NULL
                RETURNING n.job_id, n.pending, n.waits OR n.undecided AS opens
            )
            SELECT v_opened || coalesce(array_agg(s.job_id ORDER BY s.job_id), '{}') INTO v_opened
            FROM satisfied s
            WHERE s.pending = 0 OR (s.pending = 1 AND s.opens);
        END IF;

        IF cardinality(v_opened) > 0 THEN
            RETURN QUERY
            SELECT
                a.kind, a.id, NULL::timestamp, CASE WHEN a.kind = 3 THEN a.data END, NULL,
                CASE WHEN a.kind <> 3 THEN a.data END, NULL, NULL::integer, NULL::integer, a.workflow_id,
                NULL, NULL::integer, NULL, NULL::integer, NULL::double precision, NULL, NULL::boolean,
                NULL::text[], NULL::double precision
            FROM /*schema.*/baton_open(v_opened, p_claimant IS NOT NULL, p_notify, false) a;
        END IF;

        IF v_done < cardinality(p_ids) THEN
            -- A claim that is ours and completed already is the echo of a commit whose reply was lost.
            RETURN QUERY
            SELECT
                1::smallint, o.id, o.claim, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer,
                NULL::uuid, NULL, NULL::integer, NULL, NULL::integer, NULL::double precision, NULL, NULL::boolean,
                NULL::text[], NULL::double precision
            FROM unnest(p_ids, p_claims) AS o (id, claim)
            WHERE NOT EXISTS (
                SELECT FROM /*oban.*/oban_jobs j
                WHERE j.id = o.id AND (j.state = 'completed') IS TRUE AND j.attempted_at = o.claim
            );
        END IF;

        IF v_finished IS NOT NULL THEN
            RETURN QUERY
            SELECT
                2::smallint, NULL::bigint, NULL::timestamp, NULL, NULL, a.completion, NULL,
                NULL::integer, NULL::integer, a.workflow_id, NULL, NULL::integer, NULL, NULL::integer,
                NULL::double precision, NULL, NULL::boolean, NULL::text[], NULL::double precision
            FROM /*schema.*/baton_announce(v_finished, p_notify) a;
        END IF;

        IF v_woken IS NOT NULL THEN
            IF p_notify THEN
                PERFORM /*schema.*/baton_notify_jobs(q)
                FROM unnest(v_woken) q;
            END IF;
            RETURN QUERY
            SELECT
                3::smallint, NULL::bigint, NULL::timestamp, q, NULL, NULL, NULL, NULL::integer,
                NULL::integer, NULL::uuid, NULL, NULL::integer, NULL, NULL::integer, NULL::double precision,
                NULL, NULL::boolean, NULL::text[], NULL::double precision
            FROM unnest(v_woken) q;
        END IF;
    END IF;

    FOR i IN 1..cardinality(p_queues) LOOP
        CONTINUE WHEN NOT p_claim[i];
        v_room := p_rooms[i] - (SELECT count(*) FROM unnest(v_taken_queues) q WHERE q = p_queues[i]);
        CONTINUE WHEN v_room <= 0;
        -- The CTE is materialised because a re-scan of a LIMIT with SKIP LOCKED claims more than asked for.
        WITH locked AS MATERIALIZED (
            SELECT j.id
            FROM /*oban.*/oban_jobs j
            WHERE j.state = 'available' AND j.queue = p_queues[i] AND j.attempt < j.max_attempts
            AND j.id <> ALL (p_left_out)
            ORDER BY j.priority, j.scheduled_at, j.id
            LIMIT v_room
            FOR UPDATE SKIP LOCKED
        ),
        claimed AS (
            UPDATE /*oban.*/oban_jobs j
            SET state = 'executing',
                attempt = j.attempt + 1,
                attempted_at = v_now,
                attempted_by = p_claimant
            FROM locked l
            WHERE j.id = l.id
            RETURNING j.id
        )
        SELECT array_agg(c.id) INTO v_claimed FROM claimed c;
        v_taken := v_taken || coalesce(v_claimed, '{}');
    END LOOP;

    RETURN QUERY
    SELECT
        0::smallint, j.id, j.attempted_at, j.queue, j.worker, j.args::text, j.meta::text,
        j.attempt::integer, j.max_attempts::integer,
        CASE WHEN (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
            THEN n.workflow_id END,
        n.name, n.pending, n.state::text,
        cardinality(n.deps), n.timeout, n.model, n.debug,
        -- As many as OpenTelemetry keeps by default.
        CASE WHEN p_traces IS NOT NULL AND cardinality(n.deps) > 0 THEN ARRAY(
            SELECT d.trace
            FROM /*schema.*/workflow_nodes d
            WHERE d.job_id = ANY (n.deps) AND d.trace IS NOT NULL
            ORDER BY d.job_id
            LIMIT 128
        ) END,
        -- Seconds since the job could run. A difference of two timestamps fails where one of them is infinite.
        greatest(
            date_part('epoch', j.attempted_at)
            - date_part('epoch', greatest(j.scheduled_at, j.inserted_at, timezone('UTC', n.released_at))),
            0
        )
    FROM unnest(v_taken) WITH ORDINALITY AS t (id, position)
    JOIN /*oban.*/oban_jobs j ON j.id = t.id
    LEFT JOIN /*schema.*/workflow_nodes n ON n.job_id = t.id
    ORDER BY t.position;
END
$settle$;
