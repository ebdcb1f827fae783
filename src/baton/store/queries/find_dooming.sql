-- The failed dependencies that would cancel one of the steps $1 at once, and the dependencies of those that would be
-- skipped, because all were skipped and stay so. Of alternatives, the last one when none is enough.
WITH steps AS MATERIALIZED (
    SELECT
        n.name, n.deps, n.any_of, n.ignore_cancelled, n.ignore_discarded, n.run_when_skipped,
        CASE WHEN n.any_of IS NOT NULL THEN /*schema.*/baton_any_of(n.job_id, ARRAY(
            SELECT a.job_id FROM unnest(n.any_of) AS a (job_id)
            WHERE a.job_id IN (SELECT c.job_id FROM unnest($1::bigint[]) AS c (job_id))
        )) END AS any_of_state
    FROM unnest($1::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes n ON n.job_id = o.job_id
)
SELECT n.name AS step, d.job_id, d.name AS dependency, d.state::text AS state
FROM steps n
CROSS JOIN LATERAL unnest(n.deps) AS p (job_id)
JOIN /*schema.*/workflow_nodes d ON d.job_id = p.job_id
CROSS JOIN LATERAL (SELECT (d.job_id = ANY (n.any_of)) IS TRUE AS alternative) a
WHERE a.alternative AND (n.any_of_state = 'cancelled') IS TRUE
OR NOT a.alternative AND (d.state = 'cancelled') IS TRUE AND NOT n.ignore_cancelled
OR NOT a.alternative AND (d.state = 'discarded') IS TRUE AND NOT n.ignore_discarded
OR (d.state = 'skipped') IS TRUE AND NOT n.run_when_skipped
AND (n.any_of IS NULL OR (n.any_of_state = 'skipped') IS TRUE)
AND NOT EXISTS (
    SELECT FROM /*schema.*/workflow_nodes s
    WHERE s.job_id = ANY (n.deps) AND (s.job_id = ANY (n.any_of)) IS NOT TRUE
    AND (s.state IS DISTINCT FROM 'skipped' OR s.job_id IN (SELECT c.job_id FROM unnest($1::bigint[]) AS c (job_id)))
)
