-- Counts anew what the steps $1 wait for, which have not settled and some of whose dependencies were reset: unsettled
-- dependencies, alternatives as one, open waits and, with $2 = 1, the end of the workflow's pause. What they counted
-- before tells too little: while a failure dooms a step that runs, nothing is taken off. A condition is decided again when the
-- dependencies have settled again, but for a step that has begun and waits.
UPDATE /*schema.*/workflow_nodes x
SET pending = $2::integer + w.unsettled + w.waits + (w.undecided AND w.waits = 0)::integer,
    undecided = w.undecided,
    any_of_state = w.any_of_state,
    released_at = NULL
FROM (
    SELECT
        o.job_id,
        u.unsettled,
        g.waits,
        CASE
            WHEN u.unsettled > 0 AND NOT g.begun THEN r.condition IS NOT NULL
            ELSE r.undecided
        END AS undecided,
        a.state::/*schema.*/step_state AS any_of_state
    FROM unnest($1::bigint[]) AS o (job_id)
    JOIN /*schema.*/workflow_nodes r ON r.job_id = o.job_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.any_of IS NOT NULL THEN /*schema.*/baton_any_of(r.job_id, '{}') END AS state
    ) a
    CROSS JOIN LATERAL (
        SELECT count(*)::integer + (r.any_of IS NOT NULL AND a.state IS NULL)::integer AS unsettled
        FROM /*schema.*/workflow_nodes d
        WHERE d.job_id = ANY (r.deps) AND d.state IS NULL AND (d.job_id = ANY (r.any_of)) IS NOT TRUE
    ) u
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS waits, coalesce(bool_or(NOT g.wait_step), false) AS begun
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.job_id = o.job_id AND (g.wait_step OR g.status = 'pending')
    ) g
) w
WHERE x.job_id = w.job_id
