-- Takes settled dependencies off the counters of the nodes that waited for them, and notes how alternatives ended.
UPDATE /*schema.*/workflow_nodes n
SET pending = n.pending - o.settled,
    released_at = CASE WHEN n.pending = o.settled THEN clock_timestamp() END,
    any_of_state = coalesce(o.any_of::/*schema.*/step_state, n.any_of_state)
FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS o (job_id, settled, any_of)
WHERE n.job_id = o.job_id
