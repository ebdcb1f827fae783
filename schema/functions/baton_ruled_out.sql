-- Whether what a step depends on has settled so that the gate cancels or skips it, whatever else is still to settle.
-- What the gate says in src/baton/core/gate.py is said here once more, for a step that goes to sleep.
CREATE OR REPLACE FUNCTION /*schema.*/baton_ruled_out(p_job bigint)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $ruled_out$
    SELECT EXISTS (
        SELECT FROM /*schema.*/workflow_nodes d
        WHERE d.job_id = ANY (n.deps) AND (d.job_id = ANY (n.any_of)) IS NOT TRUE
        AND (d.state = 'cancelled' AND NOT n.ignore_cancelled OR d.state = 'discarded' AND NOT n.ignore_discarded)
    )
    OR (a.state = 'cancelled') IS TRUE
    OR (
        NOT n.run_when_skipped AND cardinality(n.deps) > 0 AND (n.any_of IS NULL OR (a.state = 'skipped') IS TRUE)
        AND NOT EXISTS (
            SELECT FROM /*schema.*/workflow_nodes d
            WHERE d.job_id = ANY (n.deps) AND (d.job_id = ANY (n.any_of)) IS NOT TRUE
            AND (d.state = 'skipped') IS NOT TRUE
        )
    )
    FROM /*schema.*/workflow_nodes n
    CROSS JOIN LATERAL (
        SELECT CASE WHEN n.any_of IS NOT NULL THEN /*schema.*/baton_any_of(n.job_id, '{}') END AS state
    ) a
    WHERE n.job_id = p_job
$ruled_out$;
