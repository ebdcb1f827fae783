-- Writes the conditions and the alternatives of new steps, whose nodes are there. Takes an array of JSON objects as text.
CREATE OR REPLACE FUNCTION /*schema.*/baton_insert_conditions(p_steps text)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $conditions$
    UPDATE /*schema.*/workflow_nodes n
    SET condition = x.condition,
        undecided = x.condition IS NOT NULL,
        any_of = (
            SELECT array_agg(a.id::bigint ORDER BY a.n)
            FROM jsonb_array_elements_text(x.any_of) WITH ORDINALITY AS a (id, n)
        ),
        any_dependents = (
            SELECT array_agg(a.id::bigint ORDER BY a.n)
            FROM jsonb_array_elements_text(x.any_dependents) WITH ORDINALITY AS a (id, n)
        )
    FROM jsonb_to_recordset(p_steps::jsonb) AS x (job_id bigint, condition jsonb, any_of jsonb, any_dependents jsonb)
    WHERE n.job_id = x.job_id
$conditions$;
