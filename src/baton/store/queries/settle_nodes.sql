-- Records settled states, once: a node that has settled keeps its state and its result. One whose id another job has
-- meanwhile settles only as that of a job that is gone ($5).
UPDATE /*schema.*/workflow_nodes n
SET state = o.state::/*schema.*/step_state,
    result = coalesce(n.result, o.result::jsonb),
    trace = o.trace
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[]) AS o (id, state, result, trace, gone)
WHERE n.job_id = o.id AND n.state IS NULL
AND (o.gone OR NOT EXISTS (
    SELECT FROM /*oban.*/oban_jobs j
    WHERE j.id = n.job_id
    AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS NOT TRUE
))
RETURNING n.job_id, n.workflow_id, n.name, n.state::text AS state, n.dependents, n.waits, n.any_dependents
