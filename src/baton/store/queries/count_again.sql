-- Counts anew what the steps $1 wait for, which have not settled and some of whose dependencies were reset: unsettled
-- dependencies, alternatives as one, open waits and, with $2 = 1, the end of the workflow's pause. What they counted
-- before tells too little: while a failure dooms a step that runs, nothing is taken off. Such a failure that is left
-- counts too: nothing is to release the step, and its next claim asks the gate. A condition is decided again when the
-- dependencies have settled again, but for a step that has begun and waits.
--
-- Returns the steps that waited for nothing before. A job that could be claimed in spite of what was left to wait for
-- was moved by hand, or given back: it stays, for its gate to be asked.
UPDATE /*schema.*/workflow_nodes x
SET pending = $2::integer + w.unsettled + w.waits + (w.undecided AND w.waits = 0)::integer + w.doomed::integer,
    undecided = w.undecided,
    any_of_state = w.any_of_state,
    released_at = NULL
FROM (
    SELECT
        o.job_id,
        r.pending = 0 AS ready,
        u.unsettled,
        u.doomed OR (a.state = 'cancelled') IS TRUE AS doomed,
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
        SELECT
            count(*) FILTER (WHERE d.state IS NULL)::integer
                + (r.any_of IS NOT NULL AND a.state IS NULL)::integer AS unsettled,
            coalesce(bool_or(
                (d.state = 'cancelled') IS TRUE AND NOT r.ignore_cancelled
                OR (d.state = 'discarded') IS TRUE AND NOT r.ignore_discarded
            ), false) AS doomed
        FROM /*schema.*/workflow_nodes d
        WHERE d.job_id = ANY (r.deps) AND (d.job_id = ANY (r.any_of)) IS NOT TRUE
    ) u
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS waits, coalesce(bool_or(NOT g.wait_step), false) AS begun
        FROM /*schema.*/workflow_wait_groups g
        WHERE g.job_id = o.job_id AND (g.wait_step OR g.status = 'pending')
    ) g
) w
WHERE x.job_id = w.job_id
RETURNING x.job_id, w.ready
