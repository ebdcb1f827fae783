-- Reads the unsettled nodes a settlement may touch: $1 dependents of what settled, of which $2 depend on a
-- cancelled and $3 on a discarded step, $4 on one whose job vanished; then everything below a node that a failure can pass through.
WITH RECURSIVE downstream (job_id, passes) AS (
    SELECT
        n.job_id,
        (n.job_id = ANY ($2::bigint[]) AND NOT n.ignore_cancelled)
        OR (n.job_id = ANY ($3::bigint[]) AND NOT n.ignore_discarded)
        OR n.job_id = ANY ($4::bigint[])
    FROM /*schema.*/workflow_nodes n
    WHERE n.job_id = ANY ($1::bigint[]) AND n.state IS NULL
    UNION
    SELECT n.job_id, NOT n.ignore_cancelled
    FROM downstream d
    JOIN /*schema.*/workflow_nodes above ON above.job_id = d.job_id
    CROSS JOIN LATERAL unnest(above.dependents) AS below (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = below.job_id AND n.state IS NULL
    WHERE d.passes
)
SELECT n.job_id, n.workflow_id, n.name, n.pending, n.ignore_cancelled, n.ignore_discarded, n.dependents, n.waits
FROM /*schema.*/workflow_nodes n
WHERE n.job_id IN (SELECT d.job_id FROM downstream d)
ORDER BY n.job_id
