-- Reads the unsettled nodes a settlement may touch: $1 dependents of what settled, of which $2 depend on a
-- cancelled and $3 on a discarded step, $4 on one whose job vanished, $5 on a skipped one; then everything below a node
-- that is perhaps cancelled or skipped because of it. $6 is what settled: `unskipped` counts the dependencies of a node
-- that had not been skipped before, alternatives as one; `alternatives` counts those that had not settled, while none is enough.
WITH RECURSIVE downstream (job_id, cancels, skips) AS (
    SELECT
        n.job_id,
        (n.job_id = ANY ($2::bigint[]) AND NOT n.ignore_cancelled)
        OR (n.job_id = ANY ($3::bigint[]) AND NOT n.ignore_discarded)
        OR n.job_id = ANY ($4::bigint[]),
        -- The last of some alternatives may fail, and they count as skipped because of another one.
        (n.job_id = ANY ($5::bigint[]) OR n.any_of IS NOT NULL) AND NOT n.run_when_skipped AND NOT EXISTS (
            SELECT FROM /*schema.*/workflow_nodes s
            WHERE s.job_id = ANY (n.deps) AND s.state <> 'skipped' AND (s.job_id = ANY (n.any_of)) IS NOT TRUE
        )
    FROM /*schema.*/workflow_nodes n
    WHERE n.job_id = ANY ($1::bigint[]) AND n.state IS NULL
    UNION
    SELECT
        n.job_id,
        d.cancels AND NOT n.ignore_cancelled,
        (d.skips OR n.any_of IS NOT NULL) AND NOT n.run_when_skipped AND NOT EXISTS (
            SELECT FROM /*schema.*/workflow_nodes s
            WHERE s.job_id = ANY (n.deps) AND s.state <> 'skipped' AND (s.job_id = ANY (n.any_of)) IS NOT TRUE
        )
    FROM downstream d
    JOIN /*schema.*/workflow_nodes above ON above.job_id = d.job_id
    CROSS JOIN LATERAL unnest(above.dependents || above.any_dependents) AS below (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = below.job_id AND n.state IS NULL
    WHERE d.cancels OR d.skips
)
SELECT
    n.job_id, n.workflow_id, n.name, n.pending, n.ignore_cancelled, n.ignore_discarded, n.run_when_skipped,
    n.dependents, n.any_dependents, n.waits OR n.undecided AS opens,
    CASE WHEN NOT EXISTS (SELECT FROM downstream d WHERE d.skips) THEN cardinality(n.deps) ELSE (
        SELECT count(*)
        FROM unnest(n.deps) AS d (job_id)
        WHERE (d.job_id = ANY (n.any_of)) IS NOT TRUE AND (d.job_id = ANY ($6::bigint[]) OR NOT EXISTS (
            SELECT FROM /*schema.*/workflow_nodes s WHERE s.job_id = d.job_id AND s.state = 'skipped'
        ))
    )::integer + (n.any_of IS NOT NULL AND (n.any_of_state = 'skipped') IS NOT TRUE)::integer END AS unskipped,
    CASE WHEN n.any_of IS NOT NULL AND n.any_of_state IS NULL THEN (
        SELECT count(*)
        FROM /*schema.*/workflow_nodes a
        WHERE a.job_id = ANY (n.any_of) AND (a.state IS NULL OR a.job_id = ANY ($6::bigint[]))
    )::integer END AS alternatives,
    n.any_of IS NOT NULL AND EXISTS (
        SELECT
        FROM /*schema.*/workflow_nodes a
        WHERE a.job_id = ANY (n.any_of) AND a.state = 'skipped' AND a.job_id <> ALL ($6::bigint[])
    ) AS alternative_skipped
FROM /*schema.*/workflow_nodes n
WHERE n.job_id IN (SELECT d.job_id FROM downstream d)
ORDER BY n.job_id
