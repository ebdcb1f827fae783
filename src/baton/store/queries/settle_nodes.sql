-- Records settled states, once: a node that has settled keeps its state and its result.
UPDATE /*schema.*/workflow_nodes n
SET state = o.state::/*schema.*/oban_job_state,
    result = coalesce(n.result, o.result::jsonb),
    trace = o.trace
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS o (id, state, result, trace)
WHERE n.job_id = o.id AND n.state IS NULL
RETURNING n.job_id, n.workflow_id, n.name, n.state::text AS state, n.dependents, n.waits
