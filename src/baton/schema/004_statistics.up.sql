-- What models cost, and what steps captured for debugging. Both are only ever appended to. The ids are made by
-- the process that writes, so that a write whose reply was lost can be repeated without counting twice.
-- workflow_id and step are null for a job outside a workflow.

-- One row per use of a model. cost is in USD, and null where no price was known. recorded_at is the time of
-- the write, by the database's clock.
CREATE TABLE /*schema.*/workflow_step_stats (
    id                 uuid PRIMARY KEY,
    workflow_id        uuid,
    job_id             bigint NOT NULL,
    step               text,
    attempt            integer NOT NULL,
    provider           text,
    model              text NOT NULL,
    input_tokens       bigint NOT NULL,
    output_tokens      bigint NOT NULL,
    cache_read_tokens  bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    latency_ms         bigint,
    cost               numeric,
    recorded_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT workflow_step_stats_counts CHECK (
        input_tokens >= 0 AND output_tokens >= 0 AND cache_read_tokens >= 0 AND cache_write_tokens >= 0
        AND latency_ms >= 0 AND cost >= 0
    )
);
CREATE INDEX workflow_step_stats_workflow ON /*schema.*/workflow_step_stats (workflow_id);

CREATE TABLE /*schema.*/workflow_debug_logs (
    id          uuid PRIMARY KEY,
    workflow_id uuid,
    job_id      bigint NOT NULL,
    step        text,
    attempt     integer NOT NULL,
    label       text NOT NULL,
    content     jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- In the order of reading, so that no plan looks for a workflow's entries through the age of all.
CREATE INDEX workflow_debug_logs_workflow
    ON /*schema.*/workflow_debug_logs (workflow_id, recorded_at, id);
-- For pruning by age.
CREATE INDEX workflow_debug_logs_recorded_at ON /*schema.*/workflow_debug_logs (recorded_at);

-- Both are written with the node and never changed. debug repeats the workflow's: a claim reads the node anyway.
ALTER TABLE /*schema.*/workflow_nodes
    ADD COLUMN model text,
    ADD COLUMN debug boolean NOT NULL DEFAULT false;

-- As before (see the migration "settlement"), with the node's model and debug in the row of a claimed job.
-- A type of result cannot be changed in place.
DROP FUNCTION /*schema.*/baton_settle(
    bigint[], timestamp[], text[], text[], integer[], boolean[], text[], boolean
);
CREATE FUNCTION /*schema.*/baton_settle(
    p_ids bigint[], p_claims timestamp[], p_results text[],
    p_queues text[], p_rooms integer[], p_claim boolean[], p_claimant text[], p_notify boolean
)
RETURNS TABLE (
    kind smallint, id bigint, attempted_at timestamp, queue text, worker text, args text, meta text,
    attempt integer, max_attempts integer, workflow_id uuid, name text, pending integer,
    settled text, dependencies integer, timeout double precision, model text, debug boolean
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
    v_now timestamp := timezone('UTC', clock_timestamp());
    v_done integer := 0;
    v_taken bigint[] := '{}';
    v_taken_queues text[] := '{}';
    v_woken text[];
    v_finished uuid[];
    v_claimed bigint[];
    v_room integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'baton_settle reads after it locks: it needs READ COMMITTED, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    IF cardinality(p_ids) > 0 THEN
        PERFORM FROM /*schema.*/workflows w
        WHERE w.id = ANY (ARRAY(
            SELECT n.workflow_id FROM /*schema.*/workflow_nodes n WHERE n.job_id = ANY (p_ids)
        ))
        ORDER BY w.id
        FOR NO KEY UPDATE;

        WITH done AS (
            UPDATE /*schema.*/oban_jobs j
            SET state = 'completed', completed_at = v_now
            FROM unnest(p_ids, p_claims, p_results) AS o (id, claim, result)
            WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
            RETURNING j.id, o.result
        ),
        settled AS (
            UPDATE /*schema.*/workflow_nodes n
            SET state = 'completed', result = d.result::jsonb
            FROM done d
            WHERE n.job_id = d.id AND n.state IS NULL
            RETURNING n.workflow_id, n.dependents
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
            SET pending = greatest(n.pending - d.settled, 0)
            FROM (
                SELECT d.job_id, count(*)::integer AS settled
                FROM settled s, unnest(s.dependents) AS d (job_id)
                GROUP BY d.job_id
            ) d
            WHERE n.job_id = d.job_id
            RETURNING n.job_id, n.pending, n.state
        ),
        ready AS (
            SELECT
                j.id,
                j.scheduled_at <= v_now AS due,
                coalesce(q.room, 0) >= row_number() OVER (
                    PARTITION BY j.queue, j.scheduled_at <= v_now
                    ORDER BY j.priority, j.scheduled_at, j.id
                ) AND j.attempt < j.max_attempts AS room
            FROM decremented d
            JOIN /*schema.*/oban_jobs j ON j.id = d.job_id
            LEFT JOIN unnest(p_queues, p_rooms) AS q (queue, room) ON q.queue = j.queue
            WHERE d.pending = 0 AND d.state IS NULL AND (j.state = 'suspended') IS TRUE
        ),
        released AS (
            UPDATE /*schema.*/oban_jobs j
            SET state = CASE
                    WHEN NOT r.due THEN 'scheduled'
                    WHEN r.room THEN 'executing'
                    ELSE 'available'
                END::/*schema.*/oban_job_state,
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
            array_agg(DISTINCT r.queue) FILTER (WHERE r.state = 'available')
        INTO v_done, v_finished, v_taken, v_taken_queues, v_woken
        FROM released r;

        IF v_done < cardinality(p_ids) THEN
            -- A claim that is ours and completed already is the echo of a commit whose reply was lost.
            RETURN QUERY
            SELECT
                1::smallint, o.id, NULL::timestamp, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer,
                NULL::uuid, NULL, NULL::integer, NULL, NULL::integer, NULL::double precision, NULL, NULL::boolean
            FROM unnest(p_ids, p_claims) AS o (id, claim)
            WHERE NOT EXISTS (
                SELECT FROM /*schema.*/oban_jobs j
                WHERE j.id = o.id AND (j.state = 'completed') IS TRUE AND j.attempted_at = o.claim
            );
        END IF;

        IF v_finished IS NOT NULL THEN
            RETURN QUERY
            SELECT
                2::smallint, NULL::bigint, NULL::timestamp, NULL, NULL, a.completion, NULL,
                NULL::integer, NULL::integer, a.workflow_id, NULL, NULL::integer, NULL, NULL::integer,
                NULL::double precision, NULL, NULL::boolean
            FROM /*schema.*/baton_announce(v_finished, p_notify) a;
        END IF;

        IF v_woken IS NOT NULL THEN
            IF p_notify THEN
                PERFORM pg_notify(
                    /*schema_literal*/'public' || '.oban_insert', json_build_object('queue', q)::text
                )
                FROM unnest(v_woken) q;
            END IF;
            RETURN QUERY
            SELECT
                3::smallint, NULL::bigint, NULL::timestamp, q, NULL, NULL, NULL, NULL::integer,
                NULL::integer, NULL::uuid, NULL, NULL::integer, NULL, NULL::integer, NULL::double precision,
                NULL, NULL::boolean
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
            FROM /*schema.*/oban_jobs j
            WHERE j.state = 'available' AND j.queue = p_queues[i] AND j.attempt < j.max_attempts
            ORDER BY j.priority, j.scheduled_at, j.id
            LIMIT v_room
            FOR UPDATE SKIP LOCKED
        ),
        claimed AS (
            UPDATE /*schema.*/oban_jobs j
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
        j.attempt::integer, j.max_attempts::integer, n.workflow_id, n.name, n.pending, n.state::text,
        cardinality(n.deps), n.timeout, n.model, n.debug
    FROM unnest(v_taken) WITH ORDINALITY AS t (id, position)
    JOIN /*schema.*/oban_jobs j ON j.id = t.id
    LEFT JOIN /*schema.*/workflow_nodes n ON n.job_id = t.id
    ORDER BY t.position;
END
$settle$;
