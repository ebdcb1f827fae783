-- Takes settled dependencies off the counters of the nodes that waited for them.
UPDATE /*schema.*/workflow_nodes n
SET pending = n.pending - o.settled,
    released_at = CASE WHEN n.pending = o.settled THEN clock_timestamp() END
FROM unnest($1::bigint[], $2::integer[]) AS o (job_id, settled)
WHERE n.job_id = o.job_id
