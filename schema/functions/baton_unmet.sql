-- Why the condition of a step whose dependencies have settled is not met, for people; NULL when it is met, or when
-- there is none. A result is compared by containment (jsonb @>); a dependency without a result contains nothing.
CREATE OR REPLACE FUNCTION /*schema.*/baton_unmet(p_job bigint)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $unmet$
DECLARE
    v_step record;
    v_contains boolean;
    v_name text;
    v_value text;
BEGIN
    SELECT n.workflow_id, n.deps, n.condition INTO v_step
    FROM /*schema.*/workflow_nodes n
    WHERE n.job_id = p_job AND n.condition IS NOT NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF v_step.condition ? 'on_failure' AND NOT EXISTS (
        SELECT FROM /*schema.*/workflow_nodes d
        WHERE d.job_id = ANY (v_step.deps) AND (d.state IN ('cancelled', 'discarded')) IS TRUE
    ) THEN
        RETURN 'none of its dependencies failed';
    END IF;

    IF v_step.condition ? 'when' THEN
        SELECT c.key, left(c.value::text, 200) INTO v_name, v_value
        FROM jsonb_each(v_step.condition -> 'when') c
        LEFT JOIN /*schema.*/workflow_nodes d ON d.workflow_id = v_step.workflow_id AND d.name = c.key
        WHERE (d.result -> 'value' @> c.value) IS NOT TRUE
        ORDER BY c.key
        LIMIT 1;
        IF FOUND THEN
            RETURN 'its condition is not met: the result of ''' || v_name || ''' does not contain ' || v_value;
        END IF;
    END IF;

    IF v_step.condition ? 'unless' THEN
        SELECT bool_and((d.result -> 'value' @> c.value) IS TRUE), min(c.key) INTO v_contains, v_name
        FROM jsonb_each(v_step.condition -> 'unless') c
        LEFT JOIN /*schema.*/workflow_nodes d ON d.workflow_id = v_step.workflow_id AND d.name = c.key;
        IF v_contains THEN
            RETURN 'it runs only unless the result of ''' || v_name || ''' contains '
                || left((v_step.condition -> 'unless' -> v_name)::text, 200) || ', and it does';
        END IF;
    END IF;
    RETURN NULL;
END
$unmet$;
