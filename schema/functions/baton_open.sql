-- What comes after a step's dependencies: opens the steps whose dependencies have settled and that wait for nothing
-- else (pending = 0), for the decision on their condition (undecided, pending = 1), or for the events of a wait step
-- (pending = 1). The caller holds the locks of their workflows.
--
-- A condition that is met takes the decision off `pending`, or begins the wait. One that is not skips the step, and what
-- hangs on skipped steps alone, in the same transaction. A loop, wave by wave, and no recursion: a chain of a thousand
-- such steps must not end at the limit of the stack. What the cascade in src/baton/core/cascade.py says of skipped steps
-- is said here once more; tests/settling/test_skips_two_ways.py compares.
--
-- A step whose job runs, because somebody moved it, is not skipped: it settles by its own outcome, or, given back, is
-- claimed with a count above zero, so that the gate is asked. One whose job is gone is skipped as any other, and nobody
-- is told of it.
--
-- p_new: see baton_arm.
--
-- Rows returned: those of baton_decide_waits, and 11 a step that was skipped (id, data = its facts as JSON).
CREATE OR REPLACE FUNCTION /*schema.*/baton_open(p_jobs bigint[], p_decide boolean, p_notify boolean, p_new boolean)
RETURNS TABLE (kind smallint, id bigint, data text, workflow_id uuid)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $open$
#variable_conflict use_column
DECLARE
    v_open bigint[] := p_jobs;
    v_ready bigint[] := '{}';
    v_waiting bigint[] := '{}';
    v_some bigint[];
    v_more bigint[];
    v_skip bigint[];
    v_reasons text[];
    v_skipped bigint[];
    v_ended uuid[];
    v_finished uuid[] := '{}';
BEGIN
    LOOP
        -- What is decided already, or has no condition.
        SELECT
            array_agg(n.job_id) FILTER (WHERE n.pending = 0),
            array_agg(n.job_id) FILTER (WHERE n.pending = 1 AND n.waits)
        INTO v_some, v_more
        FROM /*schema.*/workflow_nodes n
        WHERE n.job_id = ANY (v_open) AND n.state IS NULL AND NOT n.undecided;
        v_ready := v_ready || coalesce(v_some, '{}');
        v_waiting := v_waiting || coalesce(v_more, '{}');

        WITH judged AS MATERIALIZED (
            SELECT
                n.job_id,
                /*schema.*/baton_unmet(n.job_id) AS reason,
                EXISTS (
                    SELECT FROM /*schema.*/workflow_wait_groups g WHERE g.job_id = n.job_id AND g.wait_step
                ) AS wait_step
            FROM /*schema.*/workflow_nodes n
            WHERE n.job_id = ANY (v_open) AND n.state IS NULL AND n.undecided AND n.pending = 1
        ),
        met AS (
            UPDATE /*schema.*/workflow_nodes n
            SET undecided = false,
                pending = n.pending - (NOT d.wait_step)::integer,
                released_at = CASE WHEN NOT d.wait_step THEN clock_timestamp() END
            FROM judged d
            WHERE n.job_id = d.job_id AND d.reason IS NULL
            RETURNING n.job_id, n.pending
        )
        SELECT
            (SELECT array_agg(m.job_id) FROM met m WHERE m.pending = 0),
            (SELECT array_agg(m.job_id) FROM met m WHERE m.pending = 1),
            array_agg(d.job_id) FILTER (WHERE d.reason IS NOT NULL),
            array_agg(d.reason) FILTER (WHERE d.reason IS NOT NULL)
        INTO v_some, v_more, v_skip, v_reasons
        FROM judged d;
        v_ready := v_ready || coalesce(v_some, '{}');
        v_waiting := v_waiting || coalesce(v_more, '{}');
        v_open := '{}';

        WHILE v_skip IS NOT NULL LOOP
            PERFORM FROM /*oban.*/oban_jobs j WHERE j.id = ANY (v_skip) ORDER BY j.id FOR NO KEY UPDATE;
            WITH jobs AS (
                UPDATE /*oban.*/oban_jobs j
                SET state = 'cancelled',
                    cancelled_at = timezone('UTC', clock_timestamp()),
                    errors = j.errors || /*schema.*/baton_job_error(j.attempt, s.reason)
                FROM unnest(v_skip, v_reasons) AS s (job_id, reason)
                JOIN /*schema.*/workflow_nodes n ON n.job_id = s.job_id
                WHERE j.id = s.job_id AND n.state IS NULL
                AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
                AND (j.state IN ('available', 'suspended', 'scheduled', 'retryable')) IS TRUE
                RETURNING
                    j.id, j.worker, j.queue, j.args, j.meta, j.attempt, j.max_attempts, s.reason
            ),
            settled AS (
                UPDATE /*schema.*/workflow_nodes n
                SET state = 'skipped'
                FROM unnest(v_skip) AS s (job_id)
                WHERE n.job_id = s.job_id AND n.state IS NULL
                AND (
                    n.job_id IN (SELECT j.id FROM jobs j)
                    OR NOT EXISTS (SELECT FROM /*oban.*/oban_jobs j WHERE j.id = n.job_id)
                )
                RETURNING n.job_id, n.workflow_id, n.name, n.model, n.debug
            ),
            counted AS (
                UPDATE /*schema.*/workflows w
                SET outstanding = w.outstanding - s.steps,
                    skipped = w.skipped + s.steps,
                    finished_at = CASE WHEN w.outstanding = s.steps THEN clock_timestamp() END
                FROM (
                    SELECT s.workflow_id, count(*)::integer AS steps FROM settled s GROUP BY s.workflow_id
                ) s
                WHERE w.id = s.workflow_id
                RETURNING w.id, w.outstanding
            )
            SELECT
                array_agg(s.job_id ORDER BY s.job_id),
                (SELECT array_agg(c.id) FROM counted c WHERE c.outstanding = 0),
                array_agg(CASE WHEN j.id IS NOT NULL THEN json_build_object(
                    'job_id', s.job_id, 'workflow_id', s.workflow_id, 'name', s.name, 'worker', j.worker,
                    'queue', j.queue, 'args', j.args::text, 'meta', j.meta::text, 'attempt', j.attempt,
                    'max_attempts', j.max_attempts, 'reason', j.reason, 'model', s.model, 'debug', s.debug
                )::text END ORDER BY s.job_id)
            INTO v_skipped, v_ended, v_reasons
            FROM settled s
            LEFT JOIN jobs j ON j.id = s.job_id;
            UPDATE /*schema.*/workflow_nodes n
            SET pending = 1, released_at = NULL
            WHERE n.job_id = ANY (v_skip) AND n.state IS NULL AND n.pending = 0;
            EXIT WHEN v_skipped IS NULL;
            v_finished := v_finished || coalesce(v_ended, '{}');
            PERFORM /*schema.*/baton_close_waits(v_skipped, 'the step ended without it', NULL);
            RETURN QUERY
            SELECT 11::smallint, s.job_id, s.facts, NULL::uuid
            FROM unnest(v_skipped, v_reasons) AS s (job_id, facts)
            WHERE s.facts IS NOT NULL;

            -- Below: a dependency less; of a group of alternatives, the last one without any that was satisfied.
            WITH skipped AS MATERIALIZED (
                SELECT n.job_id, n.name, n.dependents, n.any_dependents
                FROM /*schema.*/workflow_nodes n
                WHERE n.job_id = ANY (v_skipped)
            ),
            below AS (
                SELECT
                    b.job_id, count(*)::integer AS settled, bool_or(b.ends) AS ends,
                    (array_agg(
                        CASE
                            WHEN b.ends THEN 'none of its alternatives was completed'
                            ELSE 'all its dependencies were skipped'
                        END || ', the last of them ''' || b.name || ''''
                        ORDER BY b.cause DESC
                    ))[1] AS reason
                FROM (
                    SELECT d.job_id, false AS ends, s.name, s.job_id AS cause
                    FROM skipped s, unnest(s.dependents) AS d (job_id)
                    UNION ALL
                    SELECT g.job_id, true, g.name, g.cause
                    FROM (
                        -- Once for each step, whatever the number of its alternatives.
                        SELECT
                            a.job_id, (array_agg(s.name ORDER BY s.job_id DESC))[1] AS name,
                            max(s.job_id) AS cause
                        FROM skipped s, unnest(s.any_dependents) AS a (job_id)
                        GROUP BY a.job_id
                        OFFSET 0
                    ) g
                    JOIN /*schema.*/workflow_nodes n ON n.job_id = g.job_id
                    WHERE n.any_of_state IS NULL AND NOT EXISTS (
                        SELECT FROM /*schema.*/workflow_nodes a WHERE a.job_id = ANY (n.any_of) AND a.state IS NULL
                    )
                ) b
                GROUP BY b.job_id
            ),
            decremented AS (
                UPDATE /*schema.*/workflow_nodes n
                SET pending = greatest(n.pending - b.settled, 0),
                    any_of_state = CASE WHEN b.ends THEN 'skipped' ELSE n.any_of_state END,
                    released_at = CASE WHEN n.pending <= b.settled THEN clock_timestamp() END
                FROM below b
                WHERE n.job_id = b.job_id AND n.state IS NULL
                RETURNING
                    n.job_id, n.pending, n.deps, n.any_of, n.any_of_state, n.run_when_skipped, n.waits, n.undecided,
                    b.reason
            ),
            judged AS (
                SELECT
                    d.job_id, d.pending, d.waits, d.undecided, d.reason,
                    NOT d.run_when_skipped
                    AND (d.any_of IS NULL OR (d.any_of_state = 'skipped') IS TRUE)
                    AND NOT EXISTS (
                        SELECT FROM /*schema.*/workflow_nodes o
                        WHERE o.job_id = ANY (d.deps) AND (o.state = 'skipped') IS NOT TRUE
                        AND (o.job_id = ANY (d.any_of)) IS NOT TRUE
                    ) AS skips
                FROM decremented d
            )
            SELECT
                array_agg(d.job_id ORDER BY d.job_id) FILTER (WHERE d.skips),
                array_agg(d.reason ORDER BY d.job_id) FILTER (WHERE d.skips),
                array_agg(d.job_id) FILTER (WHERE NOT d.skips AND d.pending = 0),
                array_agg(d.job_id) FILTER (WHERE NOT d.skips AND d.pending = 1 AND (d.waits OR d.undecided))
            INTO v_skip, v_reasons, v_some, v_more
            FROM judged d;
            v_ready := v_ready || coalesce(v_some, '{}');
            v_open := v_open || coalesce(v_more, '{}');
        END LOOP;
        EXIT WHEN cardinality(v_open) = 0;
    END LOOP;

    IF cardinality(v_ready) > 0 THEN
        RETURN QUERY
        SELECT 3::smallint, NULL::bigint, q, NULL::uuid
        FROM unnest(/*schema.*/baton_release(v_ready, p_notify)) q;
    END IF;

    IF cardinality(v_finished) > 0 THEN
        RETURN QUERY
        SELECT 2::smallint, NULL::bigint, a.completion, a.workflow_id
        FROM /*schema.*/baton_announce(v_finished, p_notify) a;
    END IF;

    IF cardinality(v_waiting) > 0 THEN
        RETURN QUERY
        SELECT a.kind, a.id, a.data, a.workflow_id
        FROM /*schema.*/baton_arm(v_waiting, p_decide, p_notify, p_new) a;
    END IF;
END
$open$;
