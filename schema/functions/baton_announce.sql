-- The one place where a workflow ends. Inserts the completion of the current run of every given workflow that has
-- no outstanding step and none yet; returns those this call announced. The notification rides the commit.
CREATE OR REPLACE FUNCTION /*schema.*/baton_announce(p_workflows uuid[], p_notify boolean)
RETURNS TABLE (workflow_id uuid, completion text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $announce$
#variable_conflict use_column
DECLARE
    v_announced uuid[];
    v_from integer := 1;
BEGIN
    WITH announced AS (
        INSERT INTO /*schema.*/workflow_completions AS c (
            workflow_id, run, workflow_name, outcome, failed_steps, skipped_steps, failed_count, total_count,
            inserted_at, finished_at, output
        )
        SELECT
            w.id,
            w.run,
            w.name,
            CASE
                WHEN w.failed = 0 THEN 'completed'
                WHEN EXISTS (
                    SELECT FROM /*schema.*/workflow_nodes n
                    WHERE n.workflow_id = w.id AND n.state = 'discarded'
                ) THEN 'failed'
                ELSE 'cancelled'
            END,
            CASE WHEN w.failed = 0 THEN '{}' ELSE ARRAY(
                SELECT n.name
                FROM /*schema.*/workflow_nodes n
                WHERE n.workflow_id = w.id AND n.state IN ('cancelled', 'discarded')
                ORDER BY n.job_id
            ) END,
            CASE WHEN w.skipped = 0 THEN '{}' ELSE ARRAY(
                SELECT n.name
                FROM /*schema.*/workflow_nodes n
                WHERE n.workflow_id = w.id AND n.state = 'skipped'
                ORDER BY n.job_id
            ) END,
            w.failed,
            w.steps,
            w.inserted_at,
            coalesce(w.finished_at, clock_timestamp()),
            CASE WHEN w.output_step IS NOT NULL THEN (
                SELECT n.result -> 'value'
                FROM /*schema.*/workflow_nodes n
                WHERE n.workflow_id = w.id AND n.name = w.output_step
            ) END
        FROM /*schema.*/workflows w
        WHERE w.id = ANY (p_workflows) AND w.outstanding = 0
        ORDER BY w.id
        ON CONFLICT DO NOTHING
        RETURNING c.workflow_id
    )
    SELECT array_agg(a.workflow_id) INTO v_announced FROM announced a;

    IF v_announced IS NULL THEN
        RETURN;
    END IF;

    -- 200 ids of 36 bytes and a comma stay below NOTIFY's limit of 7,999 bytes.
    WHILE p_notify AND v_from <= cardinality(v_announced) LOOP
        PERFORM pg_notify(
            /*schema_literal*/'baton' || '.baton_finished',
            array_to_string(v_announced[v_from:v_from + 199], ',')
        );
        v_from := v_from + 200;
    END LOOP;

    RETURN QUERY
    SELECT c.workflow_id, row_to_json(c)::text
    FROM /*schema.*/workflows w
    JOIN /*schema.*/workflow_completions c ON c.workflow_id = w.id AND c.run = w.run
    WHERE w.id = ANY (v_announced);
END
$announce$;
