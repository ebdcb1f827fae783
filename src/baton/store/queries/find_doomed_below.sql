-- Everything below step $1 that was cancelled or skipped before it was begun, as far as that goes: each with the failed
-- dependencies that doomed it; of a skipped one, each of its dependencies. What somebody has cancelled by name since its
-- last reset is left out, and so is what is below it.
WITH RECURSIVE below (job_id, dependents) AS (
    SELECT n.job_id, n.dependents || n.any_dependents FROM /*schema.*/workflow_nodes n WHERE n.job_id = $1
    UNION
    SELECT n.job_id, n.dependents || n.any_dependents
    FROM below b
    CROSS JOIN LATERAL unnest(b.dependents) AS d (job_id)
    -- One by one, by its key, whatever the statistics say.
    CROSS JOIN LATERAL (
        SELECT x.* FROM /*schema.*/workflow_nodes x WHERE x.job_id = d.job_id OFFSET 0
    ) n
    WHERE (n.state IN ('cancelled', 'skipped')) IS TRUE AND NOT /*schema.*/baton_begun(n.job_id, n.workflow_id)
    AND NOT EXISTS (
        SELECT FROM /*schema.*/baton_actions a
        WHERE a.workflow_id = n.workflow_id AND a.step = n.name AND a.action = 'cancel_step'
        AND NOT EXISTS (
            SELECT FROM /*schema.*/workflow_step_history h
            WHERE h.workflow_id = n.workflow_id AND h.job_id = n.job_id AND h.replaced_at > a.done_at
        )
    )
)
SELECT
    n.job_id,
    CASE WHEN (n.state = 'skipped') IS TRUE THEN '{}' ELSE ARRAY(
        SELECT p.job_id
        FROM unnest(n.deps) AS p (job_id)
        CROSS JOIN LATERAL (
            SELECT x.state FROM /*schema.*/workflow_nodes x WHERE x.job_id = p.job_id OFFSET 0
        ) d
        WHERE ((d.state = 'cancelled') IS TRUE AND NOT n.ignore_cancelled
        OR (d.state = 'discarded') IS TRUE AND NOT n.ignore_discarded)
        AND (p.job_id = ANY (n.any_of)) IS NOT TRUE
    ) END AS doomed_by,
    -- One of these is enough.
    CASE
        WHEN (n.state = 'skipped') IS TRUE THEN n.deps
        WHEN n.any_of IS NOT NULL AND (/*schema.*/baton_any_of(n.job_id, '{}') = 'cancelled') IS TRUE THEN n.any_of
    END AS doomed_by_all
FROM below b
CROSS JOIN LATERAL (
    SELECT x.* FROM /*schema.*/workflow_nodes x WHERE x.job_id = b.job_id OFFSET 0
) n
WHERE n.job_id <> $1
