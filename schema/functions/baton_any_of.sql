-- How the alternatives of a step stand, of which those in p_reset count as not settled: NULL while none has satisfied it
-- and one may; 'completed' when one has; else 'skipped' when one was skipped, or 'cancelled', which dooms the step.
-- What the gate says of alternatives in src/baton/core/gate.py is said here once more, for steps that are begun anew.
CREATE OR REPLACE FUNCTION /*schema.*/baton_any_of(p_job bigint, p_reset bigint[])
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $any_of$
    SELECT CASE
        WHEN bool_or(
            a.state = 'completed' OR a.state = 'cancelled' AND n.ignore_cancelled
            OR a.state = 'discarded' AND n.ignore_discarded
        ) THEN 'completed'
        WHEN bool_or(a.state IS NULL) THEN NULL
        WHEN bool_or(a.state = 'skipped') THEN 'skipped'
        ELSE 'cancelled'
    END
    FROM /*schema.*/workflow_nodes n
    CROSS JOIN LATERAL (
        SELECT CASE WHEN d.job_id = ANY (p_reset) THEN NULL ELSE d.state END AS state
        FROM /*schema.*/workflow_nodes d
        WHERE d.job_id = ANY (n.any_of)
    ) a
    WHERE n.job_id = p_job AND n.any_of IS NOT NULL
$any_of$;
