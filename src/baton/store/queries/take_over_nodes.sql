-- Has the steps $1 of a fork be as the steps $2 of its source have settled; their jobs go, as if pruned.
WITH taken AS (
    UPDATE /*schema.*/workflow_nodes n
    SET state = s.state, result = s.result, pending = 0
    FROM unnest($1::bigint[], $2::bigint[]) AS o (job_id, source)
    JOIN /*schema.*/workflow_nodes s ON s.job_id = o.source
    WHERE n.job_id = o.job_id
)
DELETE FROM /*oban.*/oban_jobs j USING unnest($1::bigint[]) AS o (job_id) WHERE j.id = o.job_id
