-- Reads what the arguments of a job refer to: for each of the names $2, which may be null for the workflow's input, the
-- part at path $3, a JSON array of keys. Only dependencies of the job's step are found (`declared`). Rows come in the
-- order asked; `value` is null where there is no such part.
SELECT
    dep.job_id = ANY (n.deps) AS declared,
    dep.state::text AS state,
    dep.result IS NOT NULL AS stored,
    CASE
        WHEN dep.job_id = ANY (n.deps)
            THEN ((dep.result -> 'value') #> ARRAY(SELECT jsonb_array_elements_text(a.path::jsonb)))::text
    END AS value
FROM /*schema.*/workflow_nodes n
CROSS JOIN unnest($2::text[], $3::text[]) WITH ORDINALITY AS a (name, path, position)
LEFT JOIN /*schema.*/workflow_nodes dep ON dep.workflow_id = n.workflow_id AND dep.name = a.name
WHERE n.job_id = $1
ORDER BY a.position
