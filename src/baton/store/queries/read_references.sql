-- Reads what the arguments of a job refer to: for each of the names $2, null for the workflow's input, the part at path
-- $3, a JSON array of keys. Only dependencies of the job's step are read (`declared`). Rows come in the order asked;
-- `value` is null where there is no such part.
SELECT
    a.name IS NULL OR dep.job_id = ANY (n.deps) AS declared,
    dep.state::text AS state,
    coalesce(w.input, dep.result) IS NOT NULL AS stored,
    (
        CASE WHEN a.name IS NULL THEN w.input WHEN dep.job_id = ANY (n.deps) THEN dep.result -> 'value' END
        #> ARRAY(SELECT jsonb_array_elements_text(a.path::jsonb))
    )::text AS value
FROM /*schema.*/workflow_nodes n
CROSS JOIN unnest($2::text[], $3::text[]) WITH ORDINALITY AS a (name, path, position)
LEFT JOIN /*schema.*/workflow_nodes dep ON dep.workflow_id = n.workflow_id AND dep.name = a.name
LEFT JOIN /*schema.*/workflows w ON w.id = n.workflow_id AND a.name IS NULL
WHERE n.job_id = $1
ORDER BY a.position
