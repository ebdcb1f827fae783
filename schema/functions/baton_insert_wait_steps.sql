-- Writes the wait steps of new workflows, whose nodes are there, and arms those that wait for no other step. Takes an
-- array of JSON objects as text.
CREATE OR REPLACE FUNCTION /*schema.*/baton_insert_wait_steps(p_wait_steps text, p_notify boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $wait_steps$
DECLARE
    v_roots bigint[];
BEGIN
    WITH new AS (
        SELECT * FROM jsonb_to_recordset(p_wait_steps::jsonb) AS x (
            job_id bigint, workflow_id uuid, names jsonb, need integer, timeout double precision,
            on_timeout text, fallback jsonb, correlation_key text, prompt text, payload_schema jsonb
        )
    ),
    groups AS (
        INSERT INTO /*schema.*/workflow_wait_groups AS g (
            workflow_id, job_id, replay_key, wait_step, names, need, timeout, on_timeout, fallback, correlation_key, prompt,
            payload_schema
        )
        SELECT
            n.workflow_id, n.job_id, '', true, ARRAY(SELECT jsonb_array_elements_text(n.names)), n.need,
            n.timeout, n.on_timeout, n.fallback, n.correlation_key, n.prompt, n.payload_schema
        FROM new n
        ORDER BY n.job_id
        RETURNING g.id, g.workflow_id, g.correlation_key, g.names
    ),
    members AS (
        INSERT INTO /*schema.*/workflow_wait_members (group_id, name, workflow_id, correlation_key)
        SELECT g.id, m.name, g.workflow_id, g.correlation_key FROM groups g, unnest(g.names) AS m (name)
    ),
    marked AS (
        UPDATE /*schema.*/workflow_nodes n
        SET waits = true
        FROM new x
        WHERE n.job_id = x.job_id
        RETURNING n.job_id, n.pending
    )
    SELECT array_agg(m.job_id ORDER BY m.job_id) FILTER (WHERE m.pending = 1) INTO v_roots FROM marked m;

    -- Events that are there already were sent by a key: the timer decides them, so that nothing of the new
    -- workflow settles before its caller has seen it.
    IF v_roots IS NOT NULL THEN
        PERFORM FROM /*schema.*/baton_arm(v_roots, false, p_notify, true);
    END IF;
END
$wait_steps$;
